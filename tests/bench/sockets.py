"""500 sockets on one process: our deliveries a second against a bare loop's, on the same server in the same run.

Run by hand: .venv/bin/python -m tests.bench.sockets [rounds] [sockets]; rounds alternate, what counts are medians.
Bursts of 100 messages of 200 bytes, then single ones with pauses between them. The client counts bytes in a process
of its own. Everything is on the loopback interface, and ends by itself.
"""

import asyncio
import os
import socket as sockets_of_os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from project.core.asgi import create_app
from project.core.live import Event
from project.core.live.hubs import as_json
from project.core.runtime import Runtime
from project.core.web import sockets
from project.core.web.server import SOCKETS
from project.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, PEOPLE, BURST, SINGLES, PAUSE = 7, 500, 100, 40, 0.05
SECONDS = 60
TOPIC = "bench/room"
EVENT = Event("message", {"body": "x" * 165}, id="1")
TEXT = as_json(EVENT)
WAYS = ["bare", "ours"]


def site() -> FastAPI:
    """The site with a bare loop beside our sockets."""
    app = create_app(Settings.load())
    runtime: Runtime = app.state.runtime
    bare: set[WebSocket] = set()
    sockets.MOST = 10_000

    async def listen_bare(websocket: WebSocket) -> None:
        await websocket.accept()
        bare.add(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            bare.discard(websocket)

    async def listen_ours(websocket: WebSocket) -> None:
        await sockets.socket(websocket, runtime, TOPIC)

    async def cpu() -> float:
        return time.process_time()

    async def send(way: str, count: int) -> None:
        for _ in range(count):
            if way == "ours":
                await runtime.bus.publish(TOPIC, EVENT)
            else:
                for websocket in bare:
                    await websocket.send_text(TEXT)

    app.add_api_route("/bench/cpu", cpu)
    app.add_api_websocket_route("/bench/bare", listen_bare)
    app.add_api_websocket_route("/bench/ours", listen_ours)
    app.add_api_route("/bench/{way}/{count}", send, methods=["POST"])
    return app


def serve(port: int) -> None:
    uvicorn.Server(
        uvicorn.Config(site(), port=port, log_level="warning", access_log=False, ws_ping_interval=None, **SOCKETS)
    ).run()


class Counting(asyncio.Protocol):
    """One socket that counts what comes after its handshake."""

    received, expected, done = 0, -1, asyncio.Event()

    def __init__(self, port: int, way: str) -> None:
        self.opened = asyncio.get_running_loop().create_future()
        lines = [f"GET /bench/{way} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket"]
        lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
        self.handshake = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(self.handshake)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 101"))
            return
        Counting.received += len(data)
        if Counting.received == Counting.expected:
            Counting.done.set()


async def timed(client: httpx2.AsyncClient, way: str, people: int, count: int) -> tuple[float, float]:
    """Seconds until everybody has everything, and those of the server's processor."""
    before = (await client.get("/bench/cpu")).json()
    Counting.received, Counting.expected, Counting.done = 0, people * count * (len(TEXT) + 4), asyncio.Event()
    started = time.perf_counter()
    async with asyncio.timeout(SECONDS):
        await client.post(f"/bench/{way}/{count}")
        await Counting.done.wait()
    seconds = time.perf_counter() - started
    return seconds, (await client.get("/bench/cpu")).json() - before


async def measure(port: int, rounds: int, people: int) -> None:
    loop = asyncio.get_running_loop()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    await client.get("/health/live")
                    break
                except httpx2.TransportError:
                    await asyncio.sleep(0.1)
        for way in WAYS:
            for _ in range(people):
                _, each = await loop.create_connection(lambda way=way: Counting(port, way), "127.0.0.1", port)  # type: ignore[misc]
                assert await each.opened
        await asyncio.sleep(1)  # the last ones have been accepted and are about to follow
        rates: dict[str, list[float]] = {way: [] for way in WAYS}
        costs: dict[str, list[float]] = {way: [] for way in WAYS}
        delays: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(rounds + 1):
            for way in WAYS if number % 2 else WAYS[::-1]:
                seconds, cost = await timed(client, way, people, BURST)
                if number:  # the first one warms up
                    rates[way].append(people * BURST / seconds)
                    costs[way].append(cost / people / BURST * 1_000_000)
        for number in range(SINGLES):
            for way in WAYS if number % 2 else WAYS[::-1]:
                delays[way].append((await timed(client, way, people, 1))[0] * 1000)
                await asyncio.sleep(PAUSE)
    for way in WAYS:
        low, middle, high = min(rates[way]), statistics.median(rates[way]), max(rates[way])
        single, cost = statistics.median(delays[way]), statistics.median(costs[way])
        print(
            f"{way}: {middle:,.0f} deliveries/s ({low:,.0f} to {high:,.0f}), {cost:.1f} us of the processor for each; ",
            end="",
        )
        print(f"one message to all: {single:.1f} ms")
    ratios = [ours / bare for bare, ours in zip(rates["bare"], rates["ours"], strict=True)]
    print(f"ours is {statistics.median(ratios):.2f} of bare ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"{people} sockets each way, {rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def main() -> None:
    rounds, people = [int(word) for word in sys.argv[1:]] + [ROUNDS, PEOPLE][len(sys.argv) - 1 :]
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
        words = [sys.executable, "-m", "tests.bench.sockets", "serve", str(port)]
        server = subprocess.Popen(words, cwd=ROOT, env=os.environ | own)
        try:
            asyncio.run(measure(port, rounds, people))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
