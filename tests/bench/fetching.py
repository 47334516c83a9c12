"""2,000 URLs at 100 at once: the engine with all its guards, bare aiohttp, bare httpx2 and the seed's httpx.

Run by hand: .venv/bin/python -m tests.bench.fetching [rounds] [urls]
A server process of this bench's own answers 2 kB after 20 ms, so nobody can have more than 5,000 URLs per second;
rounds alternate, what counts are medians. All run on asyncio's own loop, as the worker does. httpx is no package of
the site: it is installed into a folder that is thrown away, runs in a process of its own, and gets fewer URLs.
"""

import asyncio
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx2
import uvloop

from apps.fetcher.client import Limits, fetch_all
from apps.fetcher.guard import Guard
from apps.fetcher.transport import AiohttpTransport
from tests.faults.lab import answers, free_port, until
from tests.faults.processes import ROOT
from tests.faults.report import Report

ROUNDS, URLS, CONCURRENCY = 5, 2_000, 100
SEED, SEED_URLS = "httpx==0.28.1", 400
LATENCY = 0.02
PAGE = b"<html><head><title>A page</title></head>" + b"x" * 1960
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
Way = Callable[[list[str]], Awaitable[int]]


class Origin(asyncio.Protocol):
    """Answers each request after the latency."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        asyncio.get_running_loop().call_later(LATENCY, self.answer)

    def answer(self) -> None:
        self.transport.write(HEAD + PAGE)


async def serve(port: int) -> None:
    """The server process."""
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


async def engine(urls: list[str]) -> int:
    """Ours, with the guard, the limits, the hash and the title."""
    host = urls[0].split("/")[2]
    async with AiohttpTransport(Guard([80, 443], [host]), CONCURRENCY, CONCURRENCY) as transport:
        limits = Limits(concurrency=CONCURRENCY, per_host=CONCURRENCY)
        return sum([each.title == "A page" async for each in fetch_all(urls, limits, transport)])


async def bare_aiohttp(urls: list[str]) -> int:
    """Workers that take from one iterator."""
    waiting, done = iter(urls), []

    async def work(session: aiohttp.ClientSession) -> None:
        for url in waiting:
            async with session.get(url) as answer:
                done.append(len(await answer.read()))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONCURRENCY)) as session:
        await asyncio.gather(*(work(session) for _ in range(CONCURRENCY)))
    return len(done)


async def bare_httpx2(urls: list[str]) -> int:
    """The same with httpx2."""
    return await _bare(httpx2, urls)


async def _bare(library: Any, urls: list[str]) -> int:
    """httpx and httpx2 are used alike."""
    waiting, done = iter(urls), []

    async def work(client: Any) -> None:
        for url in waiting:
            done.append(len((await client.get(url)).content))

    limits = library.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with library.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:
        await asyncio.gather(*(work(client) for _ in range(CONCURRENCY)))
    return len(done)


@asynccontextmanager
async def origin() -> AsyncIterator[int]:
    """The server process, while this is open; gives its port."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", __spec__.name, "serve", str(port), cwd=ROOT)
    try:
        await until(lambda: answers(port), 30)
        yield port
    finally:
        server.kill()
        await server.wait()


async def timed(way: Way, port: int, amount: int) -> tuple[float, float]:
    """URLs per second, and the microseconds of this process's CPU for each."""
    urls = [f"http://127.0.0.1:{port}/{number}" for number in range(amount)]
    started, busy = time.perf_counter(), time.process_time()
    if await way(urls) != amount:
        raise SystemExit("some got lost")
    return amount / (time.perf_counter() - started), 1e6 * (time.process_time() - busy) / amount


async def seed(folder: str, port: int) -> tuple[float, float]:
    """The same numbers of httpx, which runs from that folder."""
    words = [sys.executable, "-m", __spec__.name, "seed", str(port)]
    env = os.environ | {"PYTHONPATH": folder}
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT, env=env, stdout=subprocess.PIPE)
    told, _ = await process.communicate()
    rate, cpu = map(float, told.split())
    return rate, cpu


def run_seed(port: int) -> None:
    """The process of httpx."""
    import httpx  # type: ignore[import-not-found]  # only there when the bench runs

    async def bare_httpx(urls: list[str]) -> int:
        return await _bare(httpx, urls)

    print(*asyncio.run(timed(bare_httpx, port, SEED_URLS)))


async def compare(report: Report, folder: str, rounds: int, amount: int) -> None:
    """The rounds, and what they say."""
    found: dict[str, list[tuple[float, float]]] = {}
    ways: list[Way] = [engine, bare_aiohttp, bare_httpx2]
    gc.freeze()  # as every process of the site does once it is open
    async with origin() as port:
        for _ in range(rounds):
            for way in ways:
                found.setdefault(way.__name__, []).append(await timed(way, port, amount))
            found.setdefault("seed", []).append(await seed(folder, port))
    report.begin(f"{amount:,} URLs ({SEED_URLS} for {SEED}), {CONCURRENCY} at once, {rounds} rounds")
    for name, each in found.items():
        rates, cpu = ([one[place] for one in each] for place in (0, 1))
        seen = f"median {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})"
        report.note(f"{name}: URLs/s; µs of CPU per URL", f"{seen}; {statistics.median(cpu):.0f}")
    report.note("the most that this origin can give, URLs/s", f"{CONCURRENCY / LATENCY:,.0f}")
    for name, wanted in {"bare_aiohttp": 0.8, "bare_httpx2": 4, "seed": 20}.items():
        ours, theirs = found["engine"], found[name]
        rate = statistics.median(one[0] for one in ours) / statistics.median(one[0] for one in theirs)
        busy = statistics.median(one[1] for one in theirs) / statistics.median(one[1] for one in ours)
        report.at_least(f"engine by {name}", wanted, rate)
        report.note("the same per second of CPU", f"{busy:.3g}")


def main(report: Report, rounds: int, amount: int) -> None:
    """Fetch httpx, compare."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-m", "pip", "install", "-qqq", "--disable-pip-version-check", "--target", folder, SEED]
        subprocess.run([sys.executable, *words], check=True)
        asyncio.run(compare(report, folder, rounds, amount))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2])))
    elif sys.argv[1:2] == ["seed"]:
        run_seed(int(sys.argv[2]))
    else:
        told = Report()
        given = [int(word) for word in sys.argv[1:]]
        main(told, *(given + [ROUNDS, URLS][len(given) :]))
        raise SystemExit(0 if told.good else 1)
