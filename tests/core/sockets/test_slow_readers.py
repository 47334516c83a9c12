"""Sockets: nobody waits for somebody slow, and a process that stops says so."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest
from fastapi import FastAPI

from project.core.asgi import create_app
from project.core.live import Event, hubs
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.sockets import connected
from project.core.web import sockets
from project.core.web.server import SocketProtocol
from tests.core.conftest import INSTALLED
from tests.core.probe import live
from tests.core.sockets.conftest import SECONDS, STATE, Slow, joined, until, until_following

pytestmark = pytest.mark.any_database


def peer_of(slow: Slow) -> hubs.Peer:
    return hubs.Peer(slow, None, hubs.Feed(), False, "")  # type: ignore[arg-type]


async def test_what_the_server_does_not_take_waits_in_order() -> None:
    slow = Slow(room=2)
    peer = peer_of(slow)
    for number in range(6):
        peer.put({"type": str(number)})
    assert len(slow.sent) == 2
    slow.free.set()
    peer.put({"type": "6"})  # the server would take it at once
    await until(lambda: peer.sender is None)
    assert [message["type"] for message in slow.sent] == list("0123456")
    assert peer.code is None


async def test_a_full_queue_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "QUEUE", 3)
    peer = peer_of(Slow(room=0))
    for _ in range(4):
        peer.put({})
    codes = [peer.code]
    peer.put({})
    assert [*codes, peer.code, len(peer.waiting)] == [None, 1013, 0]
    assert peer.sender is not None
    peer.sender.cancel()


@pytest.mark.parametrize("waiting", [0, 1])
async def test_a_frame_that_does_not_get_through_closes_the_socket(
    monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(hubs, "STALL", 0.01)
    peer = peer_of(Slow(room=0))
    for _ in range(1 + waiting):
        peer.put({})
    async with asyncio.timeout(SECONDS):
        await peer.stirred.wait()
    assert peer.code == 1013


async def test_a_client_that_never_reads_is_let_go_and_nobody_waits_for_it(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "GOODBYE", 0.01)
    lost: list[object] = []
    let_go = SocketProtocol.connection_lost
    monkeypatch.setattr(SocketProtocol, "connection_lost", lambda own, error: (lost.append(own), let_go(own, error)))  # type: ignore[func-returns-value]
    host, port = site.state.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [f"GET {STATE} HTTP/1.1", f"Host: {host}:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    await until_following(runtime)
    async with joined(site, STATE) as socket:
        await socket.frame()
        await until_following(runtime, 2)
        for number in range(3 * hubs.QUEUE):
            await runtime.bus.publish(live.TOPIC, Event("made", {"number": number, "text": "x" * 30_000}))
            assert (await socket.frame())["number"] == number
    await until(lambda: not runtime.bus.sockets and len(lost) == 2)
    writer.close()


async def test_sockets_are_told_to_come_again_when_the_process_stops(
    backend: Databases, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread: list[float] = []

    def uniform(least: float, most: float) -> float:
        spread.append(most)
        return least

    monkeypatch.setattr(random, "uniform", uniform)
    async with backend.copy() as url, AsyncExitStack() as stack:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        async with serving(app) as address:
            opened = [await stack.enter_async_context(connected(address, STATE)) for _ in range(3)]
            for socket in opened:
                await socket.frame()
        assert [await socket.closed() for socket in opened] == [1012] * 3
    assert spread[-3:] == [0.5] * 3  # seconds: half of the grace, at most three
