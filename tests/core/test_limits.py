"""Rate limits: by action and key, by the real peer, IPv6 by its subscriber."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.requests import HTTPConnection, Request
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from apps.accounts.conf import AccountsSettings
from project.core.errors import ConfigurationError, TooMany
from project.core.testing.plugin import MakeSettings, running
from project.core.web import limits
from project.core.web.limits import Limiter, Rate, Windows, client_address, parse_rate

pytestmark = pytest.mark.any_database


async def test_the_window_is_counted_for_each_action_and_key() -> None:
    limiter = Limiter()
    for _ in range(2):
        await limiter.hit("a", "x", "2/minute")
    with pytest.raises(TooMany) as refused:
        await limiter.hit("a", "x", "2/minute")
    assert 1 <= (refused.value.retry_after or 0) <= 60
    await limiter.hit("a", "y", "2/minute")
    await limiter.hit("b", "x", "2/minute")


async def test_a_window_moves_try_by_try(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limiter = [1000.0], Limiter()
    monkeypatch.setattr(limits, "monotonic", lambda: clock[0])
    waits = []
    for moment in (0, 20, 40, 59, 60, 61, 79, 80, 81):
        clock[0] = 1000.0 + moment
        try:
            await limiter.hit("a", "x", "2/minute")
        except TooMany as refused:
            waits.append((moment, refused.retry_after))
    assert waits == [(40, 20), (59, 1), (61, 19), (79, 1), (81, 39)]


@pytest.mark.parametrize(("wait", "words"), [(40, "in 40 seconds."), (299.2, "in 5 minutes."), (101, "in 2 minutes.")])
async def test_the_refusal_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch, wait: float, words: str) -> None:
    limiter = Limiter()
    monkeypatch.setattr(limiter._here, "wait", lambda *_: wait)
    with pytest.raises(TooMany, match=words):
        await limiter.hit("a", "x", "2/minute")


def test_what_is_over_is_forgotten_and_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, windows = [1000.0], Windows()
    monkeypatch.setattr(limits, "monotonic", lambda: clock[0])
    monkeypatch.setattr(limits, "MOST", 5)
    for number in range(20):
        windows.count(str(number), Rate(1, 60))
    assert len(windows._tries) == 5
    assert windows.wait("19", Rate(1, 60)) == 60
    clock[0] += 61
    windows.count("new", Rate(1, 60))
    assert list(windows._tries) == ["new"]
    for _ in range(9):
        windows.count("new", Rate(3, 60))
    assert len(windows._tries["new"].moments) == 3


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/minute", (10, 60)),
        ("10/5 minutes", (10, 300)),
        ("5 per 5 minutes", (5, 300)),
        ("1/second", (1, 1)),
        ("3/2 hours", (3, 7200)),
        ("7 per day", (7, 86400)),
    ],
)
def test_rates_are_read_as_they_are_written(text: str, rate: tuple[int, int]) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "10", "0/minute", "-1/minute", "10/0 minutes", "10/fortnight", "ten/minute", "٣/day"]
)
def test_a_rate_that_cannot_be_read_stops_the_start(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCOUNTS_LOGIN_RATE_ACCOUNT", text)
    with pytest.raises(ConfigurationError, match=r"ACCOUNTS_LOGIN_RATE_ACCOUNT must be such as 10/minute"):
        AccountsSettings.load()


@pytest.mark.parametrize(
    ("peer", "key"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unix", "unknown"),
        ("6.6.6.6<script>", "unknown"),
    ],
)
def test_addresses_become_keys(peer: str, key: str) -> None:
    assert client_address(HTTPConnection({"type": "http", "headers": [], "client": (peer, 1)})) == key


FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Forwarded": "for=203.0.113.9"}


@pytest.mark.parametrize(("proxies", "seen"), [([], "127.0.0.1"), (["127.0.0.1"], "203.0.113.9")])
async def test_forwarded_headers_count_only_from_trusted_peers(
    make_settings: MakeSettings, tmp_path: object, proxies: list[str], seen: str
) -> None:
    settings = make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3", TRUSTED_PROXIES=proxies)
    found: list[str] = []
    async with running(settings) as app:

        @app.get("/seen")
        async def show(conn: HTTPConnection) -> None:
            found.append(client_address(conn))

        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=settings.SITE_URL) as client:
            await client.get("/seen", headers=FORWARDED)
    assert found == [seen]


@pytest.mark.parametrize(
    "name",
    ["X_Forwarded_For", "X-Real-IP", "X-Client-IP", "X-Forwarded", "Forwarded-For", "Forwarded", "X-Forwarded-Host"],
)
@pytest.mark.parametrize("proxies", [[], ["127.0.0.1"], ["10.0.0.0/8"]], ids=["nobody", "this peer", "another"])
async def test_no_other_spelling_of_a_forwarded_address_is_believed_by_anybody(
    make_settings: MakeSettings, tmp_path: object, proxies: list[str], name: str
) -> None:
    assert await told(make_settings, tmp_path, proxies, [(name, "203.0.113.9")]) == (
        "127.0.0.1",
        "http",
        "127.0.0.1:8000",
    )


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ([("X-Forwarded-For", "198.51.100.1, 203.0.113.9")], "203.0.113.9"),  # the last one the proxy has seen itself
        ([("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ([("X-Forwarded-For", "203.0.113.9, 127.0.0.1")], "203.0.113.9"),
        ([("X-Forwarded-For", "[2001:db8:1:2::9]:443")], "2001:db8:1:2::/64"),
        ([("X-Forwarded-For", "203.0.113.9:5555")], "203.0.113.9"),
        ([("X-Forwarded-For", "somebody")], "unknown"),
        ([("X-Forwarded-For", "")], "127.0.0.1"),
    ],
    ids=str,
)
async def test_of_a_trusted_proxy_only_what_it_added_itself_counts(
    make_settings: MakeSettings, tmp_path: object, given: list[tuple[str, str]], seen: str
) -> None:
    assert (await told(make_settings, tmp_path, ["127.0.0.1"], given))[0] == seen


@pytest.mark.parametrize(
    "said", ["203.0.113.9", "203.0.113.9:5555", "203.0.113.9:+5555", "[2001:db8::9]:5555", "x, 203.0.113.9"]
)
async def test_what_a_server_believes_by_itself_counts_for_nothing(
    make_settings: MakeSettings, tmp_path: object, said: str
) -> None:
    headers = [("X-Forwarded-For", said), ("X-Forwarded-Proto", "https")]
    seen = await told(make_settings, tmp_path, [], headers, server=uvicorns_default)
    assert seen == ("unknown", "http", "127.0.0.1:8000")  # all of them are one, and none is who it says it is
    assert (await told(make_settings, tmp_path, ["127.0.0.1"], headers, server=uvicorns_default))[0] != "unknown"


def uvicorns_default(app: FastAPI) -> Any:
    return ProxyHeadersMiddleware(app, "127.0.0.1,::1")  # type: ignore[arg-type]


async def told(
    make_settings: MakeSettings,
    tmp_path: object,
    proxies: list[str],
    headers: list[tuple[str, str]],
    server: Callable[[FastAPI], Any] = lambda app: app,
) -> tuple[str, str, str]:
    """What a handler sees: whom limits count, the scheme and the host."""
    settings = make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3", TRUSTED_PROXIES=proxies)
    found: list[tuple[str, str, str]] = []
    async with running(settings) as app:

        @app.get("/seen")
        async def show(request: Request) -> None:
            found.append((client_address(request), request.url.scheme, request.url.netloc))

        transport = httpx2.ASGITransport(app=server(app))
        async with httpx2.AsyncClient(transport=transport, base_url=settings.SITE_URL) as client:
            assert (await client.get("/seen", headers=headers)).status_code == 200
    return found[0]
