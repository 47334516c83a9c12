"""Sockets: what clients send, and what is made of it."""

import asyncio
import random
from contextlib import suppress

import httpx2
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed

from apps.accounts.testing import add_user, sign_in_as
from project.core.live import Event
from project.core.runtime import Runtime
from project.core.testing.sockets import connected
from project.core.web import sockets
from tests.core.probe import live
from tests.core.sockets.conftest import STATE, TALK, joined, until_following

pytestmark = pytest.mark.any_database


async def test_what_is_said_reaches_the_others_and_is_answered(site: FastAPI) -> None:
    ann, bob = await add_user(site), await add_user(site, "bob@example.com")
    async with joined(site, TALK, ann) as first, joined(site, TALK, bob) as second:
        await first.send({"type": "say", "body": "hi"})
        assert sorted(frame["type"] for frame in await first.frames(2)) == ["heard", "said"]
        assert await second.frame() == {"type": "said", "id": "1", "body": "hi", "by": ann.email}


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "{", "[1]", "7", "null", '{"body": NaN}', '{"body": "\\u0000"}', '{"body": "\\ud800"}', "[" * 60_000),
        *("{}", '{"body": 7}', '{"body": "twin"}'),
    ],
    ids=lambda garbage: garbage[:16] or "nothing",
)
async def test_garbage_is_answered_and_the_socket_stays(site: FastAPI, garbage: str) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send(garbage)
        answer = await socket.frame()
        assert (answer["type"], answer["code"]) in {("error", word) for word in ("bad_request", "invalid", "conflict")}
        await socket.send({"body": "hi"})
        assert {frame["type"] for frame in await socket.frames(2)} == {"said", "heard"}


async def test_the_fields_that_are_wrong_are_named(site: FastAPI) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        for frame in ({}, {"body": "twin"}):
            await socket.send(frame)
            assert [error["field"] for error in (await socket.frame())["errors"]] == ["body"]


async def test_what_no_frame_can_carry_is_replaced(site: FastAPI, runtime: Runtime) -> None:
    async with joined(site, STATE) as socket:
        await socket.frame()
        await runtime.bus.publish(live.TOPIC, Event("made", "a\ud800b"))
        assert (await socket.frame())["data"] == "a?b"


@pytest.mark.parametrize("frame", [b"\x00\xff", "x" * 65_537, '{"body": "bug"}'], ids=["bytes", "size", "bug"])
async def test_what_is_too_much_closes_the_socket(site: FastAPI, frame: str | bytes) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send(frame)
        assert await socket.closed() == {b"\x00\xff": 1003, "x" * 65_537: 1009}.get(frame, 1011)


async def test_random_frames_leave_no_traceback_and_touch_nobody_else(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "RATE", 1e9)
    monkeypatch.setattr(sockets, "MOST", 1000)
    chance = random.Random(7)  # noqa: S311 - the same frames each time
    async with joined(site, STATE) as other, httpx2.AsyncClient(base_url=site.state.address) as client:
        await other.frame()
        await sign_in_as(client, site, await add_user(site))
        for _ in range(60):
            async with connected(site.state.address, TALK, client) as socket:
                with suppress(ConnectionClosed):
                    for _ in range(chance.randrange(1, 6)):
                        frame = chance.randbytes(chance.randrange(200))
                        await socket.connection.send(frame, text=chance.random() < 0.8)
                await socket.connection.close()
        await until_following(runtime)
        await runtime.bus.publish(live.TOPIC, Event("done"))
        assert (await other.frame())["type"] == "done"
    assert [record for record in caplog.records if record.exc_info] == []


async def test_text_that_is_no_text_closes_the_socket(site: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    async with joined(site, STATE) as socket:
        await socket.connection.send(b"\xff", text=True)
        assert await socket.closed() == 1007
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_frame_is_measured_whatever_the_server_allows(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGEST", 10)
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send("é" * 6)
        assert await socket.closed() == 1009


async def test_the_server_takes_no_larger_frame_in(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGEST", 1_000_000)
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send("x" * 65_537)
        assert await socket.closed() == 1009


async def test_who_sends_too_fast_is_throttled_then_closed(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RATE": 100.0, "BURST": 3.0, "THROTTLED": 4}.items():
        monkeypatch.setattr(sockets, name, value)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def sleeping(seconds: float) -> None:
        slept.extend([seconds] if 0 < seconds <= 0.05 else [])  # the server's own are longer
        await sleep(0)

    async with joined(site, TALK, await add_user(site)) as socket:
        monkeypatch.setattr(asyncio, "sleep", sleeping)
        for _ in range(20):
            await socket.send("{}")
        assert await socket.closed() == 1008
    assert len(slept) >= 4
