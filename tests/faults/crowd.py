"""People in rooms: a site with rooms in two web processes, and sockets light enough for one script to hold thousands.

Everything is on PostgreSQL and a Redis of the script's own, on the loopback interface; TEST_DATABASE_URL names the
server.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from apps.accounts.models import User
from apps.realtime.models import Room
from tests.faults.lab import Lab, lab
from tests.faults.processes import Process, Web

APPS = "project,apps.accounts,apps.realtime"
ROOM = "hall"
PATH = f"/realtime/rooms/{ROOM}/ws"
API = f"/api/v1/realtime/rooms/{ROOM}"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
Heard = Callable[["Talker", dict[str, Any]], None]


class Town:
    """The site, its web processes, and the cookies of its people."""

    def __init__(self, site: Lab) -> None:
        self.site = site
        self.webs: list[Web] = []
        self.people: list[str] = []

    async def join(self, number: int, web: Web, heard: "Heard | None" = None, path: str = PATH) -> "Talker":
        """A socket of one of the people in the room."""
        port = int(web.url.rpartition(":")[2])
        loop = asyncio.get_running_loop()
        talker = Talker(port, path, self.people[number], heard)
        await loop.create_connection(lambda: talker, "127.0.0.1", port)
        await talker.opened
        return talker

    def client(self, number: int, web: Web) -> httpx2.AsyncClient:
        """The same person over HTTP."""
        return httpx2.AsyncClient(base_url=web.url, headers={"Cookie": self.people[number]}, timeout=30)


@asynccontextmanager
async def town(
    people: int, webs: int = 2, *, kind: str = "postgresql", server: str = "", **env: str
) -> AsyncIterator[Town]:
    """A room that so many people may talk in as fast as they like, on two processes."""
    settings: dict[str, Any] = {"REALTIME_MESSAGE_RATE": "1000000/minute", "INSTALLED_APPS": APPS} | env
    async with lab(kind, redis=True, server=server, **settings) as site:
        one = Town(site)
        async with site.runtime.unit_of_work() as db:
            users = [
                User(email=f"p{each}@example.com", name=f"Person {each}", hashed_password="-") for each in range(people)
            ]
            db.add_all([*users, Room(slug=ROOM, title="Hall")])
        for user in users:
            one.people.append(await site.cookie(user))
        one.webs = await asyncio.gather(*(site.web() for _ in range(webs)))
        yield one


def handshake(port: int, path: str, cookie: str = "") -> bytes:
    """The request that opens a socket."""
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", f"Cookie: {cookie}"]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def frame(payload: bytes, code: int = TEXT) -> bytes:
    """A whole frame of a client; its mask is zero, so nothing has to be masked."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return bytes([0x80 | code]) + length + bytes(4) + payload


class Talker(asyncio.Protocol):
    """One socket. What comes is given to `heard` as JSON, pings are answered, `closed` says the code of the end."""

    def __init__(self, port: int, path: str, cookie: str, heard: Heard | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.opened, self.closed = loop.create_future(), loop.create_future()
        self.heard, self.ids = heard, list[int]()
        self._code, self._rest, self._head = 0, b"", handshake(port, path, cookie)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._head)

    def say(self, body: str) -> None:
        """Say something in the room."""
        self.transport.write(frame(json.dumps({"type": "message", "body": body}).encode()))

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            head, _, data = data.partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(ConnectionError(head.partition(b"\r\n")[0].decode()))
                return
            self.opened.set_result(None)
        self._rest = self._rest + data if self._rest else data
        start = 0
        while (found := _next_frame(self._rest, start)) is not None:
            code, payload, start = found
            self._arrived(code, payload)
        self._rest = self._rest[start:]

    def _arrived(self, code: int, payload: bytes) -> None:
        if code == TEXT:
            told = json.loads(payload)
            if told["type"] == "message":
                self.ids.append(told["id"])
            if self.heard:
                self.heard(self, told)
        elif code == PING:
            self.transport.write(frame(payload, PONG))
        elif code == CLOSE:
            self._code = int.from_bytes(payload[:2], "big")

    def connection_lost(self, error: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before it was open"))
        self.closed.set_result(self._code)


def _next_frame(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """The code and payload of the frame that begins there, and where it ends."""
    if len(data) < start + 2:
        return None
    size, body = data[start + 1], start + 2
    if size >= 126:
        body += 2 if size == 126 else 8
        size = int.from_bytes(data[start + 2 : body], "big")
    if len(data) < body + size:
        return None
    return data[start] & 0x0F, data[body : body + size], body + size


def megabytes(process: Process) -> float:
    """The resident memory of a process."""
    return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
