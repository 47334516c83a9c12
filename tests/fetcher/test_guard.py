"""Nothing private is dialled, however it is spelled, by whichever way out."""

import socket

import pytest
from aiohttp import web
from yarl import URL

from apps.fetcher import guard as guard_module
from apps.fetcher.client import Limits, Transport, fetch
from apps.fetcher.guard import AddressInfo, Blocked, Guard, host_and_port, is_public
from apps.fetcher.outcomes import Failure
from apps.fetcher.transport import AiohttpTransport
from tests.fetcher.conftest import Fetch, Site, port

LOOPBACK = [
    *("127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7f.1", "0x7f.0.0.0x1"),
    *("017700000001", "0177.0.0.1", "0", "000.0.0.0", "localhost", "LOCALHOST", "localhost."),
    *(
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::1%25lo]",
    ),
    *("[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[fe80::1%25lo]"),
    "[::1%25lo]",
    *("127。0。0。1", "１２７.0.0.1", "⑫7.0.0.1", "127.0.0.1%2f", "127.0.0.1%00.example.com", "a..b", "x" * 70),
]
PRIVATE = [
    *("0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "168.63.129.16", "169.254.169.254"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::808:808"),
    *("100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2002:808:808::1", "3fff::1"),
    *("5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2606:4700::1%eth0"),
    *("127.1", "2130706433", "0x7f000001", "localhost", ""),
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "172.15.255.255", "172.32.0.1", "100.63.255.255", "2606:4700:4700::1111", "2a00::1"]
OTHER = ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "data:text/html,hi", "http:///path"]
PORTS = ["http://example.com:6379/", "http://example.com:22/", "https://example.com:25/", "http://example.com:0/"]


def info(address: str, port: int) -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))


@pytest.mark.parametrize("host", LOOPBACK)
async def test_no_spelling_of_loopback_is_dialled(host: str, get: Fetch, canary: Site) -> None:
    fetched = await get(f"http://{host}:{port(canary)}/secret")
    assert fetched.error in (Failure.BLOCKED, Failure.INVALID_URL)
    assert (fetched.status_code, canary.seen) == (None, [])


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_one_public_machine_is_denied(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_machines_are_not_denied(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("url", [*OTHER, *PORTS, "http://user:word@example.com/", "http://user@example.com/"])
def test_other_schemes_ports_and_passwords_are_refused_before_any_name_is_looked_up(url: str) -> None:
    with pytest.raises(Blocked):
        Guard([80, 443]).admit(URL(url))


async def test_an_exception_is_one_exact_pair(get: Fetch, site: Site, canary: Site) -> None:
    assert (await get(site.url())).status_code == 200
    for host in ("127.0.0.2", "localhost", "127.1"):
        assert (await get(f"http://{host}:{port(site)}/")).error is Failure.BLOCKED
    assert (await get(canary.url())).error is Failure.BLOCKED
    assert len(site.seen) == 1


async def test_a_name_may_be_an_exception(site: Site) -> None:
    async with AiohttpTransport(Guard([80], [f"localhost:{port(site)}"]), 1, 1) as transport:
        assert (await fetch(f"http://localhost:{port(site)}/", Limits(), transport)).status_code == 200
        other = await fetch(f"http://127.0.0.1:{port(site)}/", Limits(), transport)
        assert other.error is Failure.BLOCKED


@pytest.mark.parametrize("target", ["http://127.0.0.1:{}/", "http://localhost:{}/", "http://[::1]:{}/", "//127.1:{}/"])
async def test_redirects_do_not_lead_inside(target: str, get: Fetch, site: Site, canary: Site) -> None:
    site.answers["/"] = web.Response(status=302, headers={"Location": target.format(port(canary))})
    fetched = await get(site.url())
    assert (fetched.error, fetched.redirects, canary.seen) == (Failure.BLOCKED, [site.url()], [])


@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "file:///etc/passwd", "http://10.0.0.1:6379/"])
async def test_redirects_keep_to_the_rules(target: str, get: Fetch, site: Site) -> None:
    site.answers["/"] = web.Response(status=307, headers={"Location": target})
    assert (await get(site.url())).error is Failure.BLOCKED


async def test_one_private_address_among_public_ones_is_enough(
    get: Fetch, canary: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mixed(host: str, port: int, family: int) -> list[AddressInfo]:
        return [info("192.0.43.10", port), info("127.0.0.1", port)]

    monkeypatch.setattr(guard_module, "look_up", mixed)
    assert (await get(f"http://mixed.example:{port(canary)}/")).error is Failure.BLOCKED
    assert canary.seen == []


async def test_the_address_that_was_checked_is_dialled(
    transport: Transport, canary: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """127.0.0.2 plays the public address; whoever looks the name up again gets to 127.0.0.1."""
    answers = ["127.0.0.2"]

    async def rebinding(host: str, port: int, family: int) -> list[AddressInfo]:
        return [info(answers.pop() if answers else "127.0.0.1", port)]

    monkeypatch.setattr(guard_module, "look_up", rebinding)
    monkeypatch.setattr(guard_module, "is_public", lambda address: address == "127.0.0.2")
    async with Site().served("127.0.0.2", port(canary)) as public:
        fetched = await fetch(f"http://rebinding.example:{port(canary)}/", Limits(), transport)
    assert (fetched.status_code, len(public.seen), canary.seen) == (200, 1, [])
    assert public.seen[0].host == f"rebinding.example:{port(canary)}"


async def test_the_socket_is_guarded_as_well(canary: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Guard([80, port(canary)])
    with monkeypatch.context() as patch:
        patch.setattr(guard, "admit", lambda url: None)
        async with AiohttpTransport(guard, 1, 1) as transport:
            assert (await fetch(canary.url(), Limits(), transport)).error is Failure.BLOCKED
    assert canary.seen == []
    for address, number in (("127.0.0.1", port(canary)), ("127.1", 80), ("1.1.1.1", 6379)):
        with pytest.raises(Blocked):
            guard.socket(info(address, number))
    guard.socket(info("1.1.1.1", 80)).close()


async def test_blocked_closed_and_unknown_look_the_same(
    get: Fetch, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(host: str, port: int, family: int) -> list[AddressInfo]:
        raise socket.gaierror

    found = [await get("http://10.0.0.1/"), await get("http://10.0.0.1:22/")]
    await site.close()
    found.append(await get(site.url()))
    monkeypatch.setattr(guard_module, "look_up", unknown)
    found.append(await get("http://nobody.invalid/"))
    assert {(each.error, each.message, each.status_code, each.attempts) for each in found} == {
        (Failure.BLOCKED, Failure.BLOCKED.message, None, 1)
    }


async def test_proxies_of_the_environment_and_cookies_are_not_used(
    get: Fetch, site: Site, canary: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, canary.url())
    site.answers["/"] = web.Response(headers={"Set-Cookie": "secret=1; Path=/"})
    await get(site.url())
    await get(site.url("/next"))
    assert ("Cookie" in site.seen[1].headers, len(site.seen), canary.seen) == (False, 2, [])


@pytest.mark.parametrize("pair", ["example.com", ":80", "example.com:http", "example.com:"])
def test_an_exception_that_names_no_port_is_refused(pair: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        host_and_port(pair)
