"""The outermost layer: request ids, headers, one log line."""

import logging
from queue import Queue

import httpx2
import pytest

from apps.accounts.testing import SignIn
from project.core.log import DroppingQueueHandler
from project.core.testing.plugin import MakeSettings, running

pytestmark = pytest.mark.any_database

PATHS = ["/", "/administrators", "/api/v1/nothing", "/admin/", "/static/css/site.css", "/api/docs", "/accounts/login"]


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_carries_the_security_headers(client: httpx2.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["script-src"] == "'self'"
    assert (policy["object-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'", "'none'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    inline = path in ("/admin/", "/api/docs")
    assert ("unsafe-inline" in policy["style-src"]) is inline


async def test_a_page_has_no_inline_script_or_style(client: httpx2.AsyncClient) -> None:
    for path in PATHS:
        html = (await client.get(path)).text
        assert "<script>" not in html
        assert " onclick=" not in html
        assert " style=" not in html or path in ("/api/docs", "/admin/")


async def test_private_pages_are_not_kept_by_caches(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_superuser=True)
    for path in ["/accounts/profile", "/api/v1/accounts/me", "/admin/"]:
        headers = (await client.get(path)).headers
        assert headers["cache-control"] in ("private, no-cache", "no-store")
        assert "Cookie" in headers["vary"]


async def test_https_sites_say_so_for_a_year_and_lead_to_https(make_settings: MakeSettings, tmp_path: object) -> None:
    settings = make_settings(SITE_URL="https://example.com", DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3")
    async with running(settings) as app:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://example.com") as client:
            headers = (await client.get("/health/live")).headers
        async with httpx2.AsyncClient(transport=transport, base_url="http://example.com") as behind_a_proxy:
            slash = await behind_a_proxy.get("/accounts/login/")
    assert slash.headers["location"].startswith("https://example.com/")
    assert headers["strict-transport-security"].startswith("max-age=31536000")


async def test_a_good_request_id_is_kept_and_a_bad_one_replaced(client: httpx2.AsyncClient) -> None:
    kept = await client.get("/health/live", headers={"X-Request-ID": "trace-12345678"})
    replaced = await client.get("/health/live", headers={"X-Request-ID": "evil\x1b[31m line"})
    assert kept.headers["x-request-id"] == "trace-12345678"
    assert len(replaced.headers["x-request-id"]) == 16


async def test_a_request_is_logged_once_without_its_query(
    client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "project.request"):
        await client.get("/health/live?token=top-secret")
    lines = [record.getMessage() for record in caplog.records if record.name == "project.request"]
    assert len(lines) == 1
    assert "/health/live" in lines[0]
    assert "top-secret" not in lines[0]


async def test_the_line_names_who_asked_and_the_next_ones_do_not(
    client: httpx2.AsyncClient, sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    user = await sign_in("ann@example.com")
    lines = Queue[logging.LogRecord]()
    logging.getLogger("project.request").addHandler(handler := DroppingQueueHandler(lines))
    with caplog.at_level(logging.INFO, "project.request"):
        await client.get("/api/v1/accounts/me")
        await client.get("/health/live")
    logging.getLogger("project.request").removeHandler(handler)
    mine, other = (vars(lines.get_nowait())["context"] for _ in range(2))
    assert mine["user_id"] == str(user.id)
    assert "user_id" not in other
    assert mine["request_id"] != other["request_id"]
