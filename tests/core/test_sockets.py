"""Sockets over a real server: the same events as streams, both ways, and nobody waits for somebody slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import sign_in_as
from project.core.asgi import create_app
from project.core.live import Event
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.sockets import Socket, connected
from tests.core.conftest import INSTALLED
from tests.core.probe import live

SECONDS = 15
STATE, LOG, TALK = "/probe/state", "/probe/log", "/probe/talk"


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The probe app, served; its address is `site.state.address`."""
    for kept in (live.KEPT, live.ASKED, live.RENDERED):
        kept.clear()
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        async with serving(app) as app.state.address:
            yield app


@pytest.fixture
def runtime(site: FastAPI) -> Runtime:
    found: Runtime = site.state.runtime
    return found


@asynccontextmanager
async def joined(site: FastAPI, path: str = LOG, user: Any = None, **options: Any) -> AsyncIterator[Socket]:
    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        if user:
            await sign_in_as(client, site, user)
        async with connected(site.state.address, path, client, **options) as socket:
            yield socket


def made(*numbers: int) -> list[Event]:
    return [Event("made", {"number": number}, id=str(number)) for number in numbers]


def ids(frames: list[Any]) -> list[str]:
    return [frame["id"] for frame in frames]


async def until(true: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - the server tells nobody that it has noticed
            await asyncio.sleep(0.01)


async def until_following(runtime: Runtime, count: int = 1) -> None:
    def following() -> int:
        return sum(len(peers) for hub in runtime.bus.hubs.values() for peers in hub._joined.values())

    await until(lambda: following() == count)


async def test_the_state_comes_first_then_each_event(site: FastAPI, runtime: Runtime) -> None:
    async with joined(site, STATE) as socket:
        assert await socket.frame() == {"type": "state", "kept": 0}
        await runtime.bus.publish(live.TOPIC, Event("made", {"text": "é"}, id="1"))
        await runtime.bus.publish(live.TOPIC, Event("done", 7))
        assert await socket.frames(2) == [
            {"type": "made", "id": "1", "text": "é"},
            {"type": "done", "data": 7},
        ]
    await until(lambda: not runtime.bus.hubs and not runtime.bus.sockets and not runtime.bus.listeners(live.TOPIC))


async def test_a_log_goes_on_where_the_client_left_it_and_is_read_once_for_all(site: FastAPI, runtime: Runtime) -> None:
    live.KEPT += made(1, 2, 3)
    async with joined(site, f"{LOG}?after=1") as first, joined(site, LOG) as second:
        assert ids(await first.frames(2)) == ["2", "3"]
        assert ids(await second.frames(3)) == ["1", "2", "3"]
        await until_following(runtime, 2)
        await runtime.bus.publish(live.TOPIC, Event("typing"))
        assert [await first.frame(), await second.frame()] == [{"type": "typing"}] * 2
        live.ASKED.clear()
        live.KEPT += made(4, 5)
        for event in live.KEPT[-2:]:
            await runtime.bus.publish(live.TOPIC, event)
        assert ids(await first.frames(2)) == ids(await second.frames(2)) == ["4", "5"]
        await runtime.bus.publish(live.TOPIC, Event("typing"))
        assert [await first.frame(), await second.frame()] == [{"type": "typing"}] * 2
    assert live.ASKED == ["3", "5"]
