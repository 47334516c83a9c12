"""500 sockets on one process: our deliveries a second against a bare loop's, on the same server in the same run.

Run by hand: .venv/bin/python -m tests.bench.sockets [rounds] [sockets] [--channels PYTHON]; rounds alternate, what
counts are medians. Bursts of 100 messages of 200 bytes (10 for Django Channels), then single ones with pauses between
them. The client counts bytes in a process of its own. Everything is on the loopback interface, and ends by itself.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import uvicorn
from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from project.core.asgi import create_app
from project.core.live import Event
from project.core.live.hubs import as_json
from project.core.runtime import Runtime
from project.core.testing.redis_server import RedisServer
from project.core.web import sockets
from project.core.web.server import SOCKETS
from project.settings import Settings
from tests.faults.lab import answers, free_port, until
from tests.faults.processes import Process

ROOT = Path(__file__).resolve().parents[2]
ROUNDS, PEOPLE, BURST, SINGLES, PAUSE = 7, 500, 100, 40, 0.05
SECONDS = 60
TOPIC = "bench/room"
EVENT = Event("message", {"body": "x" * 165}, id="1")
TEXT = as_json(EVENT)
BURSTS = {"bare": BURST, "ours": BURST, "channels": 10}


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


@dataclass
class Way:
    """One way to bring a message to everybody, and what was seen of it."""

    name: str
    port: int
    burst: int
    client: httpx2.AsyncClient
    rates: list[float] = field(default_factory=list)  # deliveries a second
    costs: list[float] = field(default_factory=list)  # microseconds of the server's processor for each
    delays: list[float] = field(default_factory=list)  # milliseconds of one message to all

    async def open(self, people: int) -> None:
        """Wait for the server, and open the sockets."""
        await until(lambda: answers(self.port), SECONDS)
        loop = asyncio.get_running_loop()
        for _ in range(people):
            _, each = await loop.create_connection(lambda: Counting(self.port, self.name), "127.0.0.1", self.port)
            assert await each.opened
        await asyncio.sleep(1)  # the last ones have been accepted and are about to follow

    async def send(self, people: int, count: int) -> tuple[float, float]:
        """Seconds until everybody has everything, and those of the server's processor."""
        before = (await self.client.get("/bench/cpu")).json()
        Counting.received, Counting.expected, Counting.done = 0, people * count * (len(TEXT) + 4), asyncio.Event()
        started = time.perf_counter()
        async with asyncio.timeout(SECONDS):
            await self.client.post(f"/bench/{self.name}/{count}")
            await Counting.done.wait()
        seconds = time.perf_counter() - started
        return seconds, (await self.client.get("/bench/cpu")).json() - before

    async def burst_to(self, people: int) -> None:
        """One round."""
        seconds, cost = await self.send(people, self.burst)
        self.rates.append(people * self.burst / seconds)
        self.costs.append(cost / people / self.burst * 1_000_000)

    def __str__(self) -> str:
        low, middle, high = min(self.rates), statistics.median(self.rates), max(self.rates)
        cost, single = statistics.median(self.costs), statistics.median(self.delays)
        rates = f"{self.name}: {middle:,.0f} deliveries/s ({low:,.0f} to {high:,.0f})"
        return f"{rates}, {cost:.1f} us of the processor for each; one message to all: {single:.1f} ms"


async def measure(ports: dict[str, int], rounds: int, people: int) -> None:
    async with AsyncExitStack() as stack:
        ways = []
        for name, port in ports.items():
            client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS)
            ways.append(Way(name, port, BURSTS[name], await stack.enter_async_context(client)))
            await ways[-1].open(people)
        for number in range(rounds + 1):
            for way in ways if number % 2 else ways[::-1]:
                await way.burst_to(people)
        for number in range(SINGLES):
            for way in ways if number % 2 else ways[::-1]:
                way.delays.append((await way.send(people, 1))[0] * 1000)
                await asyncio.sleep(PAUSE)
    for way in ways:
        del way.rates[0], way.costs[0]  # which warmed up
        print(way)
    for other in ways:
        ratios = [ours / theirs for theirs, ours in zip(other.rates, ways[1].rates, strict=True)]
        if other is not ways[1]:
            print(f"ours is {statistics.median(ratios):.2f} of {other.name} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"{people} sockets each way, {rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("rounds", type=int, nargs="?", default=ROUNDS)
    arguments.add_argument("sockets", type=int, nargs="?", default=PEOPLE)
    arguments.add_argument("--channels", metavar="PYTHON", help="a Python that has channels, channels-redis, uvicorn")
    options = arguments.parse_args()
    port, ports = free_port(), dict[str, int]()
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        own = {
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
            "DATA_DIR": folder,
            "LOG_LEVEL": "ERROR",
        }
        commands = [[sys.executable, "-m", "tests.bench.sockets", "serve", str(port)]]
        ports |= {"bare": port, "ours": port}
        if options.channels:
            ports["channels"] = free_port()
            own |= {"REDIS_URL": stack.enter_context(RedisServer()).url, "BENCH_TEXT": TEXT}
            commands.append([options.channels, str(ROOT / "tests/bench/channels_app.py"), str(ports["channels"])])
        for words in commands:
            server = Process(words, os.environ | own, Path(folder) / f"{len(words)} log")
            stack.callback(server.close)
        asyncio.run(measure(ports, options.rounds, options.sockets))


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        main()
