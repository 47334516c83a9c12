"""Attacks on the fetcher in a network of its own, where every private address has a server that counts its visitors.

Run by hand: .venv/bin/python -m tests.faults.ssrf. Linux only, without root. Names are looked up by the real resolver,
at a DNS server of this lab; what stands at 93.184.216.34 plays the public internet. Nothing leaves the machine.
"""

import asyncio
import contextlib
import ipaddress
import itertools
import os
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
from yarl import URL

from apps.fetcher.client import Limits, Transport, fetch
from apps.fetcher.guard import Guard
from apps.fetcher.injected import ClientTransport, guarded_client
from apps.fetcher.outcomes import Failure
from apps.fetcher.transport import AiohttpTransport
from tests.faults.report import Report, run

PUBLIC = "93.184.216.34"
PRIVATE = ["127.0.0.1", "169.254.169.254", "10.11.12.13", "100.64.0.1", "192.168.7.7", "::1", "fd00:ec2::254"]
SPELLINGS = [
    *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "017700000001", "0", "localhost", "169.254.169.254"),
    *("2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "169.254.43518", "0251.0376.0251.0376", "10.11.12.13"),
    *("10.722957", "168496141", "100.64.0.1", "192.168.7.7", "[::1]", "[::]", "[fd00:ec2::254]", "[::ffff:7f00:1]"),
    *("[::ffff:169.254.169.254]", "[::10.11.12.13]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[::1%25lo]"),
    *("169。254。169。254", "１０.11.12.13", "localhost.", "private.example", "six.example", "mixed.example"),
]
NAMES = {
    "public.example": [[PUBLIC]],
    "private.example": [["169.254.169.254"]],
    "six.example": [["fd00:ec2::254"]],
    "mixed.example": [[PUBLIC, "10.11.12.13"], ["10.11.12.13", PUBLIC]],
    "rebinding.example": [[PUBLIC], ["169.254.169.254"]],
}
LIMITS = Limits(url_seconds=5, retries=0)
visitors: Counter[str] = Counter()
answers = {name: itertools.cycle(each) for name, each in NAMES.items()}


class Names(asyncio.DatagramProtocol):
    """A DNS server: each question for a name's IPv4 addresses gets the next of its answers, with no time to live."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        end = data.index(0, 12) + 5
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode())
            place += 1 + data[place]
        name, kind = ".".join(labels).lower(), struct.unpack("!H", data[end - 4 : end - 2])[0]
        found = NAMES.get(name, [[]])[0] if kind == 28 else next(answers[name]) if name in answers else []
        packed = [ipaddress.ip_address(each).packed for each in found]
        rows = [each for each in packed if len(each) == {1: 4, 28: 16}.get(kind)]
        head = data[:2] + struct.pack("!5H", 0x8180 if name in NAMES else 0x8183, 1, len(rows), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(each)) + each for each in rows)
        self.transport.sendto(head + data[12:end] + body, addr)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count the visitor at the address they came to; redirect where the path says so."""
    visitors[writer.get_extra_info("sockname")[0]] += 1
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        asked = await reader.readuntil(b"\r\n\r\n")
        target = URL(asked.split()[1].decode(), encoded=True).query.get("to", "")
        head = f"302 Found\r\nLocation: {target}" if target else "200 OK"
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".encode())
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[None]:
    """All servers of the lab."""
    async with contextlib.AsyncExitStack() as stack:
        for address in [PUBLIC, *PRIVATE]:
            await stack.enter_async_context(await asyncio.start_server(answer, address, 80))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Names, ("127.0.0.1", 53))
        stack.callback(transport.close)
        yield


@contextlib.asynccontextmanager
async def ways() -> AsyncIterator[dict[str, Transport]]:
    """Both ways out, with nothing allowed."""
    guard = Guard([80, 443])
    async with AiohttpTransport(guard, 10, 10) as first, guarded_client(guard, 10) as client:
        yield {"aiohttp": first, "httpx2": ClientTransport(client)}


def private() -> int:
    """How many connections reached an address that is not public."""
    return visitors.total() - visitors[PUBLIC]


async def attacks(report: Report) -> None:
    """Spellings, names, redirects and rebinding against each way out"""
    async with network(), aiohttp.ClientSession() as bare:
        async with bare.get("http://private.example/") as reached:
            report.equal("the lab works: a bare client reaches metadata", (200, 1), (reached.status, private()))
        for _ in range(2):
            async with ways() as both:
                for name, transport in both.items():
                    visitors.clear()
                    public = await fetch("http://public.example/", LIMITS, transport)
                    report.equal(f"{name}: what is public is fetched", (200, 1), (public.status_code, visitors[PUBLIC]))
                    direct = [await fetch(f"http://{each}/", LIMITS, transport) for each in SPELLINGS]
                    urls = [f"http://{PUBLIC}/?to=http://{each}/" for each in SPELLINGS]
                    led = [await fetch(url, LIMITS, transport) for url in urls]
                    report.note(f"{name}: errors", dict(Counter(str(each.error) for each in [*direct, *led])))
                    report.equal(f"{name}: without an error", 0, sum(each.error is None for each in [*direct, *led]))
                    for _ in range(20):
                        await fetch("http://rebinding.example/", LIMITS, transport)
                    report.equal(f"{name}: connections to private addresses", 0, private())
                    assert Failure.BLOCKED in {each.error for each in direct}


def enter() -> Iterator[list[str]]:
    """The commands that furnish the network, run inside of it."""
    yield ["ip", "link", "set", "lo", "up"]
    for address in [PUBLIC, *PRIVATE]:
        if address not in ("127.0.0.1", "::1"):
            yield ["ip", "addr", "add", address, "dev", "lo"]


def main() -> None:
    """Outside: make a network and start again in it. Inside: furnish it, and attack."""
    if "LAB" not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            words = ["unshare", "-U", "-r", "-n", "-m", sys.executable, "-m", "tests.faults.ssrf"]
            raise SystemExit(subprocess.run(words, env=os.environ | {"LAB": folder}).returncode)
    for command in enter():
        subprocess.run(command, check=True)
    for name, text in {"resolv.conf": "nameserver 127.0.0.1\n", "nsswitch.conf": "hosts: files dns\n"}.items():
        made = Path(os.environ["LAB"]) / name
        made.write_text(text)
        subprocess.run(["mount", "--bind", str(made), str(Path("/etc") / name)], check=True)
    run(attacks)


if __name__ == "__main__":
    main()
