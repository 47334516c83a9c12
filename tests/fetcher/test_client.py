"""The engine: what is told of a URL, what it may cost, and that one URL does not touch another."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from yarl import URL

from apps.fetcher import client
from apps.fetcher.client import Answer, Fetched, Limits, fetch, fetch_all
from apps.fetcher.guard import Guard
from apps.fetcher.outcomes import Failure, FetchError, Outcome
from apps.fetcher.transport import AiohttpTransport
from tests.fetcher.conftest import Fetch, Script, Site

PAGE = "<html><head><title>Grüße &amp; more</title></head></html>".encode("iso-8859-1")
HTML = {"Content-Type": "text/html; charset=ISO-8859-1"}
URLS = [f"http://{host}.example/{number}" for number in range(10) for host in "ab"]


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "BACKOFF", 0.001)


async def test_a_page_is_described(get: Fetch, site: Site) -> None:
    site.answers["/"] = web.Response(body=gzip.compress(PAGE), headers=HTML | {"Content-Encoding": "gzip"})
    found = await get(site.url())
    assert (found.error, found.message, found.status_code, found.final_url) == (None, "", 200, site.url())
    assert (found.title, found.charset, found.content_type) == ("Grüße & more", "iso-8859-1", "text/html")
    assert (found.size, found.sha256) == (len(PAGE), hashlib.sha256(PAGE).hexdigest())
    assert (found.attempts, found.redirects, 0 <= found.elapsed_ms < 5000) == (1, [], True)


async def test_redirects_are_followed_by_hand_five_times(get: Fetch, site: Site) -> None:
    for number in range(6):
        site.answers[f"/{number}"] = web.Response(status=302, headers={"Location": f"{number + 1}#part"})
    found = await get(site.url("/1"))
    assert (found.status_code, found.final_url) == (200, site.url("/6"))
    assert found.redirects == [site.url(f"/{number}") for number in range(1, 6)]
    assert (await get(site.url("/0"))).error is Failure.TOO_MANY_REDIRECTS


@pytest.mark.parametrize("location", ["http://b.example/", "http://[", "http://b.example:99999/"])
async def test_redirects_from_https_stay_there_and_can_be_read(script: Script, location: str) -> None:
    script.answers["a.example"] = {"Location": location}
    assert (await fetch("https://a.example/", Limits(), script)).error is Failure.BAD_REDIRECT


@pytest.mark.parametrize(
    "location",
    [f"/{'x' * 2048}", "http://[fe80::1%25\udcff]/", "http://[fe80::1%25\0]/"],
    ids=["too long", "half a character", "NUL"],
)
async def test_a_redirect_that_no_table_could_keep_is_bad(script: Script, location: str) -> None:
    script.answers["a.example"] = {"Location": location}
    found = await fetch("http://a.example/", Limits(), script)
    assert (found.error, found.final_url) == (Failure.BAD_REDIRECT, "http://a.example/")


@pytest.mark.parametrize("url", ["", "words", "example.com", "http://[", "http://a b/", "http://127.0.0.1\\@b/", "/x"])
async def test_what_is_no_address_is_said_so(url: str, script: Script) -> None:
    assert ((await fetch(url, Limits(), script)).error, script.asked) == (Failure.INVALID_URL, [])


async def test_a_bomb_is_stopped_at_the_limit(get: Fetch, site: Site) -> None:
    site.answers["/"] = web.Response(body=gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})
    found = await get(site.url())
    assert (found.error, found.size < 200_000, found.sha256) == (Failure.TOO_LARGE, True, "")


async def test_a_body_without_end_is_stopped_at_the_limit(get: Fetch, site: Site) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        while True:
            await response.write(b"more " * 1000)

    site.answers["/"] = endless
    assert (await get(site.url())).error is Failure.TOO_LARGE


async def test_a_drip_ends_with_the_time_it_has(get: Fetch, site: Site) -> None:
    async def drip(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b".")
            await asyncio.sleep(0.01)

    site.answers["/"] = drip
    found = await get(site.url(), url_seconds=0.3)
    assert (found.error, found.status_code, 300 <= found.elapsed_ms < 2300) == (Failure.TIMEOUT, 200, True)


@pytest.mark.parametrize("headers", [{"X": "x" * 1_000_000}, {f"X-{number}": "x" * 100 for number in range(10_000)}])
async def test_huge_heads_are_refused(headers: dict[str, str], get: Fetch, site: Site) -> None:
    site.answers["/"] = web.Response(headers=headers)
    assert (await get(site.url())).error is Failure.BAD_RESPONSE


async def test_a_body_that_breaks_off_is_fetched_again(get: Fetch, site: Site) -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport
        request.transport.close()
        site.answers.clear()
        return response

    site.answers["/"] = broken
    found = await get(site.url(), retries=2)
    assert (found.error, found.status_code, found.attempts, found.size) == (None, 200, 2, 2)
    site.answers["/"] = broken
    assert (await get(site.url())).error is Failure.DISCONNECTED


@pytest.mark.parametrize(
    ("encoding", "body"), [("gzip", b"words"), ("zstd", b"words"), ("gzip", gzip.compress(b"words", mtime=0)[:-4])]
)
async def test_a_body_that_is_not_packed_as_it_says_is_an_error(
    encoding: str, body: bytes, get: Fetch, site: Site
) -> None:
    site.answers["/"] = web.Response(body=body, headers={"Content-Encoding": encoding})
    assert (await get(site.url())).error is Failure.BAD_RESPONSE


@pytest.mark.parametrize("after", ["0", "0.5", "soon", "", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_a_busy_server_is_asked_again(after: str, get: Fetch, site: Site) -> None:
    async def busy_once(request: web.BaseRequest) -> web.Response:
        site.answers.clear()
        return web.Response(status=503, headers={"Retry-After": after})

    site.answers["/"] = busy_once
    found = await get(site.url(), retries=1)
    assert (found.status_code, found.attempts, found.error) == (200, 2, None)


@pytest.mark.parametrize("after", ["60", "999999999", "date"])
async def test_a_server_that_asks_for_too_long_a_wait_is_left_alone(after: str, get: Fetch, site: Site) -> None:
    after = format_datetime(datetime.now(UTC) + timedelta(hours=1)) if after == "date" else after
    site.answers["/"] = web.Response(status=429, headers={"Retry-After": after})
    found = await get(site.url(), retries=2)
    assert (found.status_code, found.attempts, found.elapsed_ms < 2000) == (429, 1, True)


async def test_other_refusals_are_results_at_once(get: Fetch, site: Site) -> None:
    site.answers["/"] = web.Response(status=404)
    assert [(each.status_code, each.attempts) for each in [await get(site.url(), retries=2)]] == [(404, 1)]


async def test_one_failure_touches_no_other(script: Script) -> None:
    script.answers |= {"a.example": RuntimeError("a mistake of ours"), "c.example": FetchError(Failure.TLS)}
    found = {each.url: each async for each in fetch_all([*URLS, "http://c.example/", "no"], Limits(), script)}
    assert len(found) == len(URLS) + 2
    assert {each.error for url, each in found.items() if "//b." in url} == {None}
    assert {each.error for url, each in found.items() if "//a." in url} == {Failure.FAILED}
    assert (found["http://c.example/"].error, found["no"].error) == (Failure.TLS, Failure.INVALID_URL)


async def test_equal_urls_are_fetched_once(script: Script) -> None:
    found = [each.url async for each in fetch_all(["http://a.example/"] * 5, Limits(), script)]
    assert (found, script.asked) == (["http://a.example/"], ["http://a.example/"])


@pytest.mark.parametrize(("concurrency", "per_host", "peaks"), [(100, 3, (6, 3)), (4, 3, (4, 3)), (1, 9, (1, 1))])
async def test_so_many_at_once_and_no_more(concurrency: int, per_host: int, peaks: tuple[int, int]) -> None:
    script = Script()
    limits = Limits(concurrency=concurrency, per_host=per_host)
    asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_later(0.01, script.gate.set))
    found = [each.status_code async for each in fetch_all(URLS, limits, script)]
    assert found == [200] * len(URLS)
    assert (script.peaks["all"], max(script.peaks["a.example"], script.peaks["b.example"])) == peaks


async def test_a_slow_host_does_not_hold_the_others_up() -> None:
    stuck = asyncio.Event()

    class Slow(Script):
        @asynccontextmanager
        async def get(self, url: URL) -> AsyncIterator[Answer]:
            if url.host == "a.example":
                await stuck.wait()
            async with super().get(url) as answer:
                yield answer

    found, slow = [], Slow()
    slow.gate.set()
    async with aclosing(fetch_all(URLS, Limits(concurrency=4, per_host=2), slow)) as results:
        async for each in results:
            found.append(each.url)
            if len(found) == 10:
                break
    assert set(found) == {url for url in URLS if "//b." in url}


async def test_requests_to_one_host_keep_their_distance(script: Script) -> None:
    loop, times = asyncio.get_running_loop(), []
    began = loop.time()
    async for _ in fetch_all([url for url in URLS if "//a." in url][:4], Limits(delay=0.05), script):
        times.append(loop.time() - began)
    assert all(taken > 0.049 * number for number, taken in enumerate(times))


async def test_a_batch_ends_with_the_time_it_has() -> None:
    found = [each.error async for each in fetch_all(URLS, Limits(concurrency=3, batch_seconds=0.1), Script())]
    assert found == [Failure.TIMEOUT] * len(URLS)


async def test_a_batch_ends_with_its_time_however_far_its_requests_are_apart(script: Script) -> None:
    async with asyncio.timeout(30):
        found = [each async for each in fetch_all(URLS, Limits(delay=60, batch_seconds=0.1), script)]
    assert len(found) == len(URLS)


async def test_batches_take_turns_at_a_host(site: Site, guard: Guard) -> None:
    async with AiohttpTransport(guard, concurrency=10, per_host=1) as transport:

        async def batch(name: str) -> None:
            urls = [site.url(f"/{name}/{number}") for number in range(5)]
            async for each in fetch_all(urls, Limits(per_host=1), transport):
                assert each.error is None

        await asyncio.gather(batch("a"), batch("b"))
    assert "".join(request.path[1] for request in site.seen) in ("ab" * 5, "ba" * 5)


def test_the_time_of_a_url_begins_with_its_turn(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late_turn() -> tuple[Fetched, Fetched]:
        loop = asyncio.get_running_loop()
        clock = loop.time

        @asynccontextmanager
        async def turn(_: str) -> AsyncIterator[None]:
            monkeypatch.setattr(loop, "time", lambda: clock() + 1000)
            await asyncio.sleep(0)
            yield

        monkeypatch.setattr(script, "turn", turn)
        found = await fetch(URLS[0], Limits(url_seconds=500), script)
        async with asyncio.timeout(30):
            return found, await fetch(URLS[0], Limits(url_seconds=3600), Script(), deadline=loop.time() - 1)

    found, late = asyncio.run(late_turn())  # not on the loop all tests share: its clock is moved
    assert (found.error, found.elapsed_ms < 500_000) == (None, True)
    assert late.error is Failure.TIMEOUT


async def test_what_nobody_waits_for_is_stopped() -> None:
    script = Script(**{"b.example": 404})
    before = asyncio.all_tasks()
    async with aclosing(fetch_all(URLS, Limits(), script)) as results:
        asyncio.get_running_loop().call_later(0.01, script.gate.set)
        await anext(results)
    assert asyncio.all_tasks() == before
    assert script.busy["all"] == 0


async def test_fetching_goes_on_while_results_wait(script: Script) -> None:
    urls = [f"http://a.example/{number}" for number in range(20)]
    async with aclosing(fetch_all(urls, Limits(concurrency=2), script)) as results:
        await anext(results)
        for _ in range(1000):  # turns of the loop, of which each URL takes a few
            await asyncio.sleep(0)
        assert len(script.asked) == len(urls)


@pytest.mark.parametrize("status", [0, 99, 101, 199])
async def test_an_answer_that_is_none_is_bad(status: int) -> None:
    script = Script(**{"a.example": status})
    script.gate.set()
    fetched = await fetch("http://a.example/", Limits(), script)
    assert (fetched.error, fetched.outcome) == (Failure.BAD_RESPONSE, Outcome.FAILED)
