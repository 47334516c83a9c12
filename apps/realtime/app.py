"""What realtime adds to the site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apps.realtime import api, pages, seeding, websockets
from apps.realtime.admin import MemberAdmin, MessageAdmin, RoomAdmin
from apps.realtime.conf import RealtimeSettings
from apps.realtime.feeds import Feeds
from apps.realtime.models import Member, Message, Room
from project.core import AppConfig, MenuItem, Runtime


@asynccontextmanager
async def lifespan(runtime: Runtime) -> AsyncIterator[None]:
    """Hear what happens in rooms once for all who follow them in this process."""
    runtime.provide(Feeds, Feeds(runtime))
    yield


config = AppConfig(
    label="realtime",
    title="Realtime",
    api=api.router,
    pages=pages.router,
    websockets=websockets.router,
    models=[Room, Member, Message],
    admin=[RoomAdmin, MemberAdmin, MessageAdmin],
    seed=seeding.seed,
    settings=RealtimeSettings,
    lifespan=lifespan,
    menu=[MenuItem("Rooms", "realtime:list")],
)
