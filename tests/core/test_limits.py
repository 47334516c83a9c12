"""Rate limits: by action and key, by the real peer, IPv6 by its subscriber."""

import httpx2
import pytest
from starlette.requests import HTTPConnection

from project.core.errors import TooMany
from project.core.testing.plugin import MakeSettings, running
from project.core.web.limits import Limiter, client_address


async def test_the_window_is_counted_for_each_action_and_key() -> None:
    limiter = Limiter()
    for _ in range(2):
        await limiter.hit("a", "x", "2/minute")
    with pytest.raises(TooMany) as refused:
        await limiter.hit("a", "x", "2/minute")
    assert 1 <= (refused.value.retry_after or 0) <= 60
    await limiter.hit("a", "y", "2/minute")
    await limiter.hit("b", "x", "2/minute")


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
