"""Who may come in: known hosts, and no page of another site."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, SignIn
from project.core import AsyncSession
from project.core.testing.plugin import MakeSettings
from project.core.web.guard import Guard

SIGN_UP = {"email": "ann@example.com", "password": PASSWORD}
CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Origin": "http://127.0.0.1:9000"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://"},
    {"Origin": "http://127.0.0.1:99999"},
    {"Origin": "https://127.0.0.1:8000"},
    {"Origin": "ws://127.0.0.1:8000"},
    {"Referer": "https://evil.example/page"},
]
SAME_SITE = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Referer": "http://127.0.0.1:8000/accounts/signup"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("path", ["/accounts/signup", "/api/v1/accounts/users"])
async def test_a_post_from_another_site_is_refused_and_changes_nothing(
    client: httpx2.AsyncClient, db: AsyncSession, path: str, headers: dict[str, str]
) -> None:
    body = {"json": SIGN_UP} if path.startswith("/api") else {"data": SIGN_UP}
    answer = await client.post(path, headers=headers, **body)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert (await db.exec(select(User))).first() is None


@pytest.mark.parametrize("headers", SAME_SITE, ids=str)
async def test_a_post_from_this_site_or_from_no_browser_passes(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.post("/accounts/signup", data=SIGN_UP, headers=headers)).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/accounts/me", "/admin/user/list", "/nowhere"])
async def test_every_unsafe_method_is_guarded_before_the_router(
    client: httpx2.AsyncClient, sign_in: SignIn, method: str, path: str
) -> None:
    await sign_in(is_superuser=True)
    answer = await client.request(method, path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "cross_site" in answer.text or "another site" in answer.text


async def test_a_link_from_another_site_may_be_followed(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1:8000@evil.example", "a:b@evil", "", "127.0.0.1 evil", "127.0.0.1/evil", "127.0.0.1.."],
)
async def test_an_unknown_host_is_refused(client: httpx2.AsyncClient, host: str) -> None:
    assert (await client.get("/", headers={"Host": host})).status_code == 400


async def test_two_hosts_are_refused(app: FastAPI) -> None:
    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"127.0.0.1"), (b"host", b"evil")]}
    refusal = Guard(app, app.state.runtime.settings).refusal(scope)
    assert refusal is not None
    assert refusal.status == 400


async def test_a_leading_dot_allows_sub_domains(app: FastAPI, make_settings: MakeSettings) -> None:
    guard = Guard(app, make_settings(SITE_URL="https://example.com", ALLOWED_HOSTS=[".example.org"]))

    def allowed(host: str) -> bool:
        return guard.refusal({"type": "http", "method": "GET", "headers": [(b"host", host.encode())]}) is None

    assert [allowed(host) for host in ("example.com", "EXAMPLE.com:443", "a.example.org", "example.org")] == [True] * 4
    assert not any(allowed(host) for host in ("evilexample.org", "example.com.evil", "localhost"))


async def test_a_socket_from_another_site_is_refused(app: FastAPI) -> None:
    guard = Guard(app, app.state.runtime.settings)
    host = (b"host", b"127.0.0.1:8000")
    for origin, good in [
        (b"http://127.0.0.1:8000", True),
        (b"https://evil.example", False),
        (b"null", False),
    ]:
        scope = {"type": "websocket", "headers": [host, (b"origin", origin)]}
        assert (guard.refusal(scope) is None) is good


async def test_a_trusted_origin_passes(app: FastAPI, make_settings: MakeSettings) -> None:
    guard = Guard(app, make_settings(TRUSTED_ORIGINS=["https://app.example"]))
    headers = [
        (b"host", b"127.0.0.1"),
        (b"origin", b"https://app.example"),
        (b"sec-fetch-site", b"cross-site"),
    ]
    assert guard.refusal({"type": "http", "method": "POST", "headers": headers}) is None
