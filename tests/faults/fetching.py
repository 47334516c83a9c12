"""Servers that mean harm, against both ways out of the fetcher: bombs, drips, floods, lies and silence.

Run by hand: .venv/bin/python -m tests.faults.fetching [through_aiohttp] [through_httpx2]
The servers are a process of their own. Each attack is met alone, then all of them at once; demanded are its error, an
answer within the limit and two seconds, and what the memory of the process that fetches grows by. The lag is noted.
"""

import asyncio
import contextlib
import gzip
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import brotli

from apps.fetcher.client import Fetched, Limits, Transport, fetch
from apps.fetcher.guard import Guard
from apps.fetcher.injected import ClientTransport, guarded_client
from apps.fetcher.transport import AiohttpTransport
from tests.faults.lab import answers, free_port, until
from tests.faults.processes import ROOT
from tests.faults.report import Report, run

LIMITS = Limits(url_seconds=3, retries=0)
MARGIN = 2
MEGABYTES = 64
AT_ONCE = 4  # of each attack, in the last part
WAKE_SECONDS = 0.01
BOMB = 200_000_000
KEEP = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = KEEP + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = KEEP + b"Content-Length: 4\r\n\r\ngood"
SLOW_TLS = "slow TLS"
HARMLESS = "what is meant well"
HINTS = "endless early hints"
ENDLESS_SIZE = "an endless size of a chunk"
Say = Callable[[asyncio.StreamWriter], Awaitable[None]]


def packed(encoding: str, body: bytes) -> bytes:
    """An answer with this body in this encoding."""
    return KEEP + f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def again(first: bytes, piece: bytes, pause: float = 0) -> Say:
    """Say the first, then the piece again and again."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return say


def once(answer: bytes) -> Say:
    """Say it and hang up."""

    async def say(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return say


def attacks() -> dict[str, Say]:
    """What the server does at each path; built in its own process, for the bombs take a while."""
    bomb, press, piece = gzip.compress(bytes(BOMB)), brotli.Compressor(quality=5), bytes(1_000_000)
    smaller = b"".join(press.process(piece) for _ in range(BOMB // len(piece))) + press.finish()
    return {
        "gzip of 200 MB": once(packed("gzip", bomb)),
        "gzip in gzip": once(packed("gzip, gzip", gzip.compress(bomb))),
        "gzip in gzip, one said": once(packed("gzip", gzip.compress(bomb + bytes(BOMB)))),
        "brotli of 200 MB": once(packed("br", smaller)),
        "endless chunks": again(CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        "a length of 10 GB": again(KEEP + b"Content-Length: 10000000000\r\n\r\n", b"x" * 65_536),
        HARMLESS: once(GOOD),
        "more than the length": once(GOOD + b"x" * 10_000_000),
        "less than the length": once(KEEP + b"Content-Length: 100000\r\n\r\nshort"),
        "a byte per second": again(KEEP + b"Content-Length: 1000\r\n\r\n", b"x", 1),
        "a byte of the head per second": again(KEEP + b"X-Slow: ", b"x", 1),
        "silence": again(b"", b"", 1),
        "a header of 1 MB": once(KEEP + b"X-Long: " + b"x" * 1_000_000 + b"\r\n\r\n"),
        "100,000 headers": once(KEEP + b"".join(b"X-%d: x\r\n" % n for n in range(100_000)) + b"\r\n"),
        "an endless header": again(KEEP + b"X-Long: ", b"x" * 65_536),
        ENDLESS_SIZE: again(CHUNKED + b"1;", b"x" * 65_536),
        "endless trailers": again(CHUNKED + b"0\r\n", b"X-Trailer: x\r\n" * 4096),
        HINTS: again(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1024),
    }


DUE = {
    HARMLESS: "None",
    "more than the length": "None or bad_response",
    "less than the length": "disconnected",
    **dict.fromkeys(["gzip of 200 MB", "brotli of 200 MB", "gzip in gzip, one said"], "too_large"),
    **dict.fromkeys(["endless chunks", "a length of 10 GB"], "too_large"),
    **dict.fromkeys(["gzip in gzip", "a header of 1 MB", "100,000 headers", "an endless header"], "bad_response"),
    "endless trailers": "bad_response or disconnected",  # it depends on how much of them comes at once
    ENDLESS_SIZE: "timeout or disconnected",  # httpx2 reads no line that is so long
    **dict.fromkeys(["a byte per second", "a byte of the head per second", "silence"], "timeout"),
    **dict.fromkeys([SLOW_TLS, HINTS], "timeout"),
}


def path(name: str) -> str:
    """Where an attack is served."""
    return "/" + "".join(letter if letter.isalnum() else "-" for letter in name)


async def serve(port: int, tls_port: int) -> None:
    """The server process; what answers on the second port never ends its part of a TLS handshake."""
    wanted = {path(name): say for name, say in attacks().items()}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            asked = await reader.readuntil(b"\r\n\r\n")
            await wanted[asked.split()[1].decode()](writer)
        writer.close()

    async def shake(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await again(b"\x16\x03\x03\x40\x00", b"\x02", 1)(writer)

    await asyncio.start_server(shake, "127.0.0.1", tls_port)
    await (await asyncio.start_server(answer, "127.0.0.1", port)).serve_forever()


@dataclass
class Watch:
    """How late the loop was and how large the process, while the block was open."""

    lag: float = 0
    megabytes: float = 0

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._wake())
        try:
            yield
            await asyncio.sleep(2 * WAKE_SECONDS)  # what held the loop up to the end is late now
        finally:
            task.cancel()
            self.megabytes = memory("VmHWM")

    async def _wake(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + WAKE_SECONDS
            await asyncio.sleep(WAKE_SECONDS)
            self.lag = max(self.lag, loop.time() - due)


def memory(name: str) -> float:
    """VmRSS or VmHWM of this process, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


@contextlib.asynccontextmanager
async def servers() -> AsyncIterator[tuple[int, int]]:
    """The server process; gives its two ports."""
    ports = free_port(), free_port()
    words = [sys.executable, "-m", "tests.faults.fetching", "serve", *map(str, ports)]
    process = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
    try:
        await until(lambda: answers(ports[0]), 60)
        yield ports
    finally:
        process.kill()
        await process.wait()


async def meet(report: Report, transport: Transport, ports: tuple[int, int]) -> None:
    """Each attack alone, then all at once."""
    urls = {name: f"http://127.0.0.1:{ports[0]}{path(name)}" for name in DUE}
    urls[SLOW_TLS] = f"https://127.0.0.1:{ports[1]}/"
    await fetch(urls[HARMLESS], LIMITS, transport)  # everything is loaded
    forget_peak()
    before, found = memory("VmRSS"), list[Fetched]()
    for name, url in urls.items():
        watch = Watch()
        async with watch():
            one = await fetch(url, LIMITS, transport)
        told = f"{one.elapsed_ms} ms, peak +{watch.megabytes - before:.1f} MB, lag {1000 * watch.lag:.0f} ms"
        report.fits(name, DUE[name], f"{one.error}; {told}", holds=is_due(name, one))
        found.append(one)
    watch, names = Watch(), [name for name in urls if name != HINTS] * AT_ONCE
    async with watch():
        many = await asyncio.gather(*(fetch(urls[name], LIMITS, transport) for name in names))
    pairs = zip(names, many, strict=True)
    wrong = Counter(f"{name}: {each.error}" for name, each in pairs if not is_due(name, each))
    report.equal(f"all but the hints, {AT_ONCE} times at once: other errors", {}, dict(wrong))
    report.note("", f"lag {1000 * watch.lag:.0f} ms")
    slowest = max(each.elapsed_ms for each in [*found, *many])
    report.at_most("the slowest answer", LIMITS.url_seconds + MARGIN, slowest / 1000)
    report.at_most("the most memory at any time", MEGABYTES, watch.megabytes - before, "MB more")


def is_due(name: str, fetched: Fetched) -> bool:
    """Whether this is what has to become of the attack."""
    return str(fetched.error) in DUE[name].split(" or ")


def forget_peak() -> None:
    """Let VmHWM begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


async def through_aiohttp(report: Report) -> None:
    """Through aiohttp, the engine's own way out"""
    async with servers() as ports, AiohttpTransport(guard(*ports), 100, 100) as transport:
        await meet(report, transport, ports)


async def through_httpx2(report: Report) -> None:
    """Through the httpx2 client that is injected"""
    async with servers() as ports, guarded_client(guard(*ports), 100) as client:
        await meet(report, ClientTransport(client), ports)


def guard(*ports: int) -> Guard:
    """The servers may be asked."""
    return Guard([80, 443], [f"127.0.0.1:{port}" for port in ports])


def main() -> None:
    """Each way out in a process of its own, so that what one leaves behind is not the other's."""
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(*map(int, sys.argv[2:])))
    elif sys.argv[1:]:
        run(through_aiohttp, through_httpx2)
    else:
        words = [sys.executable, "-m", "tests.faults.fetching"]
        ended = [subprocess.run([*words, each.__name__]).returncode for each in (through_aiohttp, through_httpx2)]
        raise SystemExit(max(ended))


if __name__ == "__main__":
    main()
