"""The production server, really started: it drains when it stops, and is replaced without a failed request."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from project.core.testing.redis_server import RedisServer
from project.core.web import server
from tests.core.conftest import SECONDS, serving, until_it_answers

Place = tuple[str, int]
PROBE = {"INSTALLED_APPS": "project,apps.accounts,tests.core.probe"}


async def pid_of_a_server(client: httpx2.AsyncClient) -> str:
    """Which process answers a new connection."""
    async with client.stream("GET", "/api/v1/probe/stream") as answer:
        return await anext(answer.aiter_lines())


async def test_a_stop_is_told_first_and_ends_with_0(site_copy: Path, site_environment: dict[str, str]) -> None:
    """SIGHUP means nothing to one process: there is none to take over."""
    environment = site_environment | PROBE | {"DRAIN_SECONDS": "2"}
    with serving(site_copy, environment, by="serve") as (url, process):
        async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
            await until_it_answers(client)
            process.send_signal(signal.SIGHUP)
            async with client.stream("GET", "/api/v1/probe/events") as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(SECONDS):
                    async for _ in lines:
                        pass
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["parts"]) == (503, {"process": "stopping"})
            assert (await client.get("/health/live")).status_code == 200
            with anyio.fail_after(SECONDS):
                assert await anyio.to_thread.run_sync(process.wait) == 0


async def test_processes_are_replaced_while_every_request_is_answered(
    site_copy: Path, site_environment: dict[str, str]
) -> None:
    async def ask() -> None:
        while not replaced.is_set():
            statuses.add((await client.get("/health/live")).status_code)

    statuses: set[int] = set()
    replaced = asyncio.Event()
    with (
        RedisServer() as redis,
        serving(
            site_copy, site_environment | PROBE | {"REDIS_URL": redis.url}, "--workers", "2", by="serve"
        ) as started,
    ):
        url, process = started
        fresh = httpx2.Limits(max_keepalive_connections=0)
        async with (
            httpx2.AsyncClient(base_url=url, timeout=SECONDS, limits=fresh) as client,
            asyncio.TaskGroup() as group,
        ):
            await until_it_answers(client)
            before = {await pid_of_a_server(client) for _ in range(20)}
            group.create_task(ask())
            process.send_signal(signal.SIGHUP)
            with anyio.fail_after(3 * SECONDS):
                while before & {await pid_of_a_server(client) for _ in range(20)}:
                    pass
            replaced.set()
        assert statuses == {200}
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(SECONDS):
            assert await anyio.to_thread.run_sync(process.wait) == 0


def test_several_processes_without_redis_are_refused(site_copy: Path, site_environment: dict[str, str]) -> None:
    with serving(site_copy, site_environment, "--workers", "2", by="serve") as (_, process):
        assert process.wait(SECONDS) == 1
    assert "REDIS_URL" in (site_copy / "stderr").read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_site_that_cannot_be_imported_is_not_tried_again_and_again(
    site_copy: Path, site_environment: dict[str, str], workers: str
) -> None:
    (site_copy / "project" / "asgi.py").write_text("raise RuntimeError('a bug')\n")
    environment = site_environment | {"REDIS_URL": "redis://127.0.0.1:1/0"}
    with serving(site_copy, environment, "--workers", workers, by="serve") as (_, process):
        assert process.wait(3 * SECONDS) == 1
    said = (site_copy / "stderr").read_text()
    assert 1 <= said.count("RuntimeError: a bug") <= int(workers)


@asynccontextmanager
async def served(before: Callable[[], Awaitable[object]] | None = None, **options: Any) -> AsyncIterator[Place]:
    """The address of an app that answers with the length of what it was sent, or takes a socket, as `serve` serves."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            talk = WebSocket(scope, receive, send)
            await talk.accept()
            await talk.receive()
        else:
            if before:
                await before()
            await PlainTextResponse(str(len(await Request(scope, receive).body())))(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="off", log_level="critical", **server.AS_HERE | options)
    running = uvicorn.Server(config)
    async with asyncio.TaskGroup() as group:
        group.create_task(running._serve([listener]))
        yield listener.getsockname()
        running.should_exit = True


async def ask(place: Place, text: str) -> bytes:
    """Send this, and read until the server closes the connection; gives all that it said."""
    reader, writer = await asyncio.open_connection(*place)
    writer.write(text.encode())
    async with asyncio.timeout(SECONDS):
        said = await reader.read()
    writer.close()
    return said


GET = "GET / HTTP/1.1\r\nHost: a\r\n"
POST = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: "
UPGRADE = GET + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


async def test_one_connection_too_many_is_503_whether_it_wants_an_answer_or_a_socket() -> None:
    async with served(limit_concurrency=2) as place:
        assert b"200 OK" in await ask(place, f"{GET}Connection: close\r\n\r\n")
        _, held = await asyncio.open_connection(*place)
        for words in (f"{GET}\r\n", UPGRADE + KEY):
            said = (await ask(place, words)).lower()
            assert said.startswith(b"http/1.1 503 ")
            assert b"retry-after: 1\r\n" in said
        held.close()
        await held.wait_closed()
        reader, writer = await asyncio.open_connection(*place)
        writer.write((UPGRADE + KEY).encode())
        async with asyncio.timeout(SECONDS):
            assert b" 101 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize(
    "sent",
    ["", f"{GET}X-End", f"{POST}9\r\n\r\n12345678"],
    ids=["nothing", "a head without end", "part of a body"],
)
async def test_who_sends_drop_by_drop_is_let_go(monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr(server, "RECEIPT", 0.05)
    async with served() as place:
        with suppress(ConnectionResetError):
            assert await ask(place, sent) == b""


async def test_a_second_head_that_does_not_end_is_let_go_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served() as place:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(f"{GET}\r\n".encode())
        async with asyncio.timeout(SECONDS):
            await reader.readuntil(b"\r\n\r\n0")
            monkeypatch.setattr(server, "RECEIPT", 0.05)
            writer.write(f"{GET}X-End".encode())
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()


async def test_who_waits_for_us_to_read_on_is_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = asyncio.Event()
    late = server.RequestProtocol._late

    def noted(self: server.RequestProtocol) -> None:
        late(self)
        waited.set()

    monkeypatch.setattr(server, "RECEIPT", 0.05)
    monkeypatch.setattr(server.RequestProtocol, "_late", noted)
    async with served(before=waited.wait) as place:
        body = "x" * 1_000_000
        assert b"1000000" in await ask(place, f"{POST}{len(body)}\r\n\r\n{body}")


async def test_who_goes_on_sending_has_time_for_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none is needed any more once the request is there, whatever its answer takes."""
    expected: list[bool] = []
    expect = server.RequestProtocol._expect

    def noted(self: server.RequestProtocol, *, more: bool = True) -> None:
        expect(self, more=more)
        expected.append(more)

    monkeypatch.setattr(server.RequestProtocol, "_expect", noted)
    async with served() as place:
        body = "x" * (2 * server.PART)
        assert str(len(body)).encode() in await ask(place, f"{POST}{len(body)}\r\n\r\n{body}")
    *parts, whole, lost = expected
    assert len(parts) >= 2
    assert all(parts)
    assert (whole, lost) == (False, False)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_streams_are_told_however_the_site_is_served(name: str) -> None:
    from project.core.closing import Closing

    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    number = signal.Signals[name]
    former = signal.signal(number, lambda *_: loop.call_soon_threadsafe(heard.set))
    try:
        closing = Closing()
        with closing.told_by_signals(drain=3600):
            os.kill(os.getpid(), number)
            async with asyncio.timeout(SECONDS):
                await closing.wait()
            assert not heard.is_set()
            os.kill(os.getpid(), number)
            async with asyncio.timeout(SECONDS):
                await heard.wait()
    finally:
        signal.signal(number, former)


@pytest.fixture
def several() -> Iterator[server.Processes]:
    """The parent of processes that have not been started."""
    former = {each: signal.getsignal(each) for each in SIGNALS}
    yield server.Processes(server.Config("project.asgi:app"), sockets=[])
    for each, handler in former.items():
        signal.signal(each, handler)


def test_a_stop_is_heard_while_processes_are_replaced(several: server.Processes) -> None:
    signal.raise_signal(signal.SIGTERM)
    assert several.should_exit.is_set()


def test_nobody_waits_for_the_word_of_a_process_that_has_died(
    several: server.Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    dead = Process(several.config, [])
    several.processes.append(dead)
    monkeypatch.setattr(Multiprocess, "keep_subprocess_alive", lambda _: asked.append(dead.parent_conn.poll(0)))
    several.keep_subprocess_alive()
    assert asked == [True]
