"""A room of 50 in which one never reads: 10,000 messages of 1 kB, 500 a second; the others get all, in order.

Run by hand: .venv/bin/python -m tests.faults.slow_reader [messages] [messages a second]. One server process,
in-process bus, a log in memory. Everything is on the loopback interface, and ends by itself.
"""

import asyncio
import json
import os
import socket as sockets_of_os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket

from project.core.asgi import create_app
from project.core.live import Event
from project.core.runtime import Runtime
from project.core.web import sockets
from project.core.web.server import SOCKETS
from project.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PEOPLE, MESSAGES, RATE, SIZE, PORTION = 50, 10_000, 500, 1000, 100
PATIENCE = 90  # seconds for all of it beside the sending itself
TOPIC = "faults/room"


def site() -> FastAPI:
    """The site with one room, and what a script wants to know of the process."""
    app = create_app(Settings.load())
    runtime: Runtime = app.state.runtime
    log: list[Event] = []
    ended: dict[str, float] = {}
    full: dict[str, float] = {}
    sockets.MOST = 10_000

    async def since(last: str) -> list[Event]:
        start = int(last or 0)
        return log[start : start + PORTION]

    async def room(websocket: WebSocket) -> None:
        who = websocket.query_params["who"]
        try:
            await sockets.socket(websocket, runtime, TOPIC, since=since)
        finally:
            ended[who] = time.time()

    async def say(count: int, rate: int) -> None:
        started = time.perf_counter()
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            log.append(Event("message", {"body": "x" * SIZE, "at": time.time()}, id=str(len(log) + 1)))
            await runtime.bus.publish(TOPIC, log[-1])
            for hub in runtime.bus.hubs.values():
                for peer in hub.members:
                    if peer.waiting:
                        full.setdefault(peer.websocket.query_params["who"], time.time())

    async def facts() -> dict[str, Any]:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")  # noqa: ASYNC240
        open_files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        return {"mb": resident / 1e6, "ended": ended, "waited": full, "files": open_files}

    app.add_api_websocket_route("/faults/room", room)
    app.add_api_route("/faults/say/{count}/{rate}", say, methods=["POST"])
    app.add_api_route("/faults/facts", facts)
    return app


class Reader(asyncio.Protocol):
    """One who reads: how many came, whether in order, and how late each was, in seconds."""

    def __init__(self, port: int, number: int, count: int) -> None:
        self.count, self.last, self.ordered, self.delays, self.rest = count, 0, True, list[float](), b""
        self.opened = asyncio.get_running_loop().create_future()
        self.ended = asyncio.get_running_loop().create_future()
        self.handshake = handshake(port, str(number))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self.handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            head, _, data = data.partition(b"\r\n\r\n")
            self.opened.set_result(head.startswith(b"HTTP/1.1 101"))
        self.rest += data
        start = 0
        while len(self.rest) >= start + 4 and self.rest[start] == 0x81:
            end = start + 4 + int.from_bytes(self.rest[start + 2 : start + 4], "big")  # longer than 125 bytes
            if len(self.rest) < end:
                break
            frame = json.loads(self.rest[start + 4 : end])
            self.delays.append(time.time() - frame["at"])
            self.ordered &= int(frame["id"]) == self.last + 1
            self.last, start = int(frame["id"]), end
        self.rest = self.rest[start:]
        if self.last == self.count and not self.ended.done():
            self.ended.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


def handshake(port: int, who: str) -> bytes:
    """The request that opens a socket."""
    lines = [f"GET /faults/room?who={who} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade"]
    lines += ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


async def be_silent(port: int) -> Any:
    """Join, and never read."""
    small = sockets_of_os.socket()
    small.setsockopt(sockets_of_os.SOL_SOCKET, sockets_of_os.SO_RCVBUF, 65_536)
    small.connect(("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=small, limit=1024)
    writer.write(handshake(port, "silent"))
    return reader, writer


async def measure(port: int, count: int, rate: int) -> None:
    address = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE + count / rate) as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await client.get("/health/live")
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
        silent = await be_silent(port)
        loop, readers = asyncio.get_running_loop(), list[Reader]()
        for number in range(PEOPLE - 1):
            _, each = await loop.create_connection(lambda number=number: Reader(port, number, count), "127.0.0.1", port)  # type: ignore[misc]
            assert await each.opened
            readers.append(each)
        await asyncio.sleep(1)  # the last ones are about to follow
        before = (await client.get("/faults/facts")).json()
        async with asyncio.timeout(PATIENCE + count / rate):
            await client.post(f"/faults/say/{count}/{rate}")
            for each in readers:
                await each.ended
        after = (await client.get("/faults/facts")).json()
        silent[1].close()
    delays = [delay for each in readers for delay in each.delays]
    p99 = statistics.quantiles(delays, n=100)[98]
    complete = sum(len(each.delays) == count and each.ordered for each in readers)
    gone = after["ended"].get("silent")
    print(
        f"{complete} of {PEOPLE - 1} got {count:,} of {count:,} in order at {rate}/s; "
        f"p99 {p99:.3f} s, worst {max(delays):.3f} s"
    )
    assert gone
    waited = gone - after["waited"]["silent"]
    print(f"the silent one was gone {waited:.1f} s after its first frame had to wait")
    print(f"memory {before['mb']:.0f} -> {after['mb']:.0f} MB, files {before['files']} -> {after['files']}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    assert complete == PEOPLE - 1
    assert waited <= 10
    assert p99 <= 1
    assert after["mb"] - before["mb"] <= 50


def main() -> None:
    count, rate = [int(word) for word in sys.argv[1:]] + [MESSAGES, RATE][len(sys.argv) - 1 :]
    with sockets_of_os.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        own = {
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DATA_DIR": folder,
            "LOG_LEVEL": "ERROR",
        }
        words = [sys.executable, "-m", "tests.faults.slow_reader", "serve", str(port)]
        server = subprocess.Popen(words, cwd=ROOT, env=os.environ | own)
        try:
            asyncio.run(measure(port, count, rate))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        options: dict[str, Any] = {"log_level": "warning", "access_log": False, "ws_ping_interval": None} | SOCKETS
        uvicorn.Server(uvicorn.Config(site(), port=int(sys.argv[2]), **options)).run()
    else:
        main()
