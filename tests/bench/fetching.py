"""2,000 URLs at 100 at once: the engine with all its guards, bare aiohttp and bare httpx2, in the same run.

Run by hand: .venv/bin/python -m tests.bench.fetching [rounds] [urls]
A server process of this bench's own answers 2 kB after 20 ms; rounds alternate, what counts are medians.
"""

import asyncio
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx2
import uvloop

from apps.fetcher.client import Limits, fetch_all
from apps.fetcher.guard import Guard
from apps.fetcher.transport import AiohttpTransport
from tests.faults.report import Report

ROUNDS, URLS, CONCURRENCY = 5, 2_000, 100
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
    waiting, done = iter(urls), []

    async def work(client: httpx2.AsyncClient) -> None:
        for url in waiting:
            done.append(len((await client.get(url)).content))

    limits = httpx2.Limits(max_connections=CONCURRENCY, max_keepalive_connections=CONCURRENCY)
    async with httpx2.AsyncClient(limits=limits, trust_env=False) as client:
        await asyncio.gather(*(work(client) for _ in range(CONCURRENCY)))
    return len(done)


async def compare(report: Report, port: int, rounds: int, amount: int) -> None:
    """The rounds, and what they say."""
    urls = [f"http://127.0.0.1:{port}/{number}" for number in range(amount)]
    ways: list[Way] = [engine, bare_aiohttp, bare_httpx2]
    rates: dict[str, list[float]] = {way.__name__: [] for way in ways}
    for _ in range(rounds):
        for way in ways:
            started = time.perf_counter()
            if await way(urls) != amount:
                raise SystemExit(f"{way.__name__} lost some")
            rates[way.__name__].append(amount / (time.perf_counter() - started))
    report.begin(f"{amount:,} URLs, {CONCURRENCY} at once, {rounds} rounds")
    medians = [statistics.median(each) for each in rates.values()]
    for (name, each), median in zip(rates.items(), medians, strict=True):
        report.note(f"{name}, URLs/s", f"median {median:,.0f}, all {[round(one) for one in each]}")
    report.at_least("the engine by bare aiohttp", 0.8, medians[0] / medians[1])
    report.at_least("the engine by bare httpx2", 4, medians[0] / medians[2])


async def main(report: Report, rounds: int, amount: int) -> None:
    """Start the server, compare, stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.fetching", "serve", str(port))
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        writer.close()
        await compare(report, port, rounds, amount)
    finally:
        server.kill()
        await server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(int(sys.argv[2])))
    else:
        told = Report()
        given = [int(word) for word in sys.argv[1:]]
        uvloop.run(main(told, *(given + [ROUNDS, URLS][len(given) :])))
        raise SystemExit(0 if told.good else 1)
