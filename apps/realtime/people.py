"""Who is in a room: counted by the core's leases, and told to whoever follows the room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from apps.realtime.schemas import Person, Presence, name_of
from apps.realtime.services import get_room, topic
from project.core import AsyncSession, Principal, Runtime, get_logger
from project.core.live import Event
from project.core.live.presence import present

log = get_logger(__name__)
OPENED = Event("opened")
NAMED = 100  # people who are named; the others are counted
PAUSE = 0.5  # seconds between two tellings of who is there: a crowd that comes at once is told of together


def where(room_id: UUID) -> str:
    """The topic that people in the room are on."""
    return f"{topic(room_id)}/people"


async def people_of(db: AsyncSession, user: Principal, slug: str) -> Presence:
    """Who is in a room. Raises NotFound."""
    return await people_in(db, (await get_room(db, user, slug)).id)


async def people_in(db: AsyncSession, room_id: UUID) -> Presence:
    """Who is there, by name."""
    found = await present(db, where(room_id))
    return Presence(people=[Person(id=each.user_id, name=each.name) for each in found[:NAMED]], total=len(found))


async def who_is_there(runtime: Runtime, room_id: UUID) -> Event:
    """The same as an event."""
    async with runtime.unit_of_work(write=False) as db:
        return Event("presence", (await people_in(db, room_id)).model_dump(mode="json"))


@asynccontextmanager
async def here(runtime: Runtime, user: Principal, room_id: UUID) -> AsyncIterator[None]:
    """Count somebody as being there, under the name that others read."""
    async with runtime.presence.on(where(room_id), replace(user, name=name_of(user.id, user.name))):
        # A window that opens while another of the same person closes is not their first, and no news to the core.
        await runtime.bus.publish(where(room_id), OPENED)
        yield


@asynccontextmanager
async def told(runtime: Runtime, room_id: UUID) -> AsyncIterator[None]:
    """While this is open, whoever follows the room in this process hears when others come and go."""
    telling = asyncio.create_task(_tell(runtime, room_id))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)


async def _tell(runtime: Runtime, room_id: UUID) -> None:
    async with runtime.bus.subscribe(where(room_id)) as changes:
        async for _ in changes:
            changes.take()  # however many came at once, it is asked once
            try:
                event = await who_is_there(runtime, room_id)
            except Exception as error:
                log.warning("nobody knows who is in a room", error=type(error).__name__)
                continue
            told = {"type": event.type, "data": event.data}
            runtime.bus.deliver(topic(room_id), json.dumps(told).encode())  # in this process: each has read it itself
            await asyncio.sleep(PAUSE)
