"""The probe app over a real server, and its visitors' sockets."""

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


class Slow:
    """A WebSocket whose server takes `room` messages, then makes the sender wait."""

    def __init__(self, room: int) -> None:
        self.room, self.sent, self.free = room, list[Any](), asyncio.Event()

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.room:
            await self.free.wait()
        self.sent.append(message)
