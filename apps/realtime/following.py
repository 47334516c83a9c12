"""Following a room: the same events for a page, as HTML, and for an API client, as JSON."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from jinja2 import Environment
from starlette.requests import Request
from starlette.websockets import WebSocket

from apps.realtime.feeds import Feed, Feeds
from apps.realtime.models import Room
from apps.realtime.people import here, who_is_there
from apps.realtime.schemas import MessageRead, name_of
from apps.realtime.services import get_room, rights, topic
from project.core import NotFound, Principal, Runtime, get_logger
from project.core.live import Event, stream
from project.core.live.hubs import LOST_RIGHT
from project.core.live.streams import EventStream
from project.core.templating import render_block

log = get_logger(__name__)
GONE = Event("gone")  # the room, or the right to be there
PAGE = "realtime/room_detail.html"
RECHECK = 60.0  # seconds after which a socket's right is asked again, even if nobody has said that it changed
STALE = 5.0  # seconds for which an answer to "may they be here?" counts
Draw = Callable[[Event], str]


@dataclass
class Follower:
    """Somebody who follows a room. Whether they may is asked again when rights have changed, and as time passes."""

    runtime: Runtime
    user: Principal
    room: Room
    feed: Feed
    start: int
    greeting: list[Event]
    access: int = field(init=False)
    heard: int = field(init=False)
    asked: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.access, self.heard = self.feed.access, self.feed.murmured

    async def since(self, last: str) -> Sequence[Event]:
        """What comes next: of the log, and when there is nothing left of it, what was murmured meanwhile."""
        try:
            await self.feed.hear()
            await self._check()
            at = place(last, self.start)
            found = await self.feed.since(at if at <= self.feed.newest else self.start)
        except NotFound:
            return [GONE]
        if not found:
            found = self.greeting + [each for each in self.feed.murmurs(self.heard) if not self._own(each)]
            self.greeting, self.heard = [], self.feed.murmured
        return found

    async def _check(self) -> None:
        if self.access == self.feed.access and time.monotonic() - self.asked < STALE:
            return
        self.access, self.asked = self.feed.access, time.monotonic()
        async with self.runtime.unit_of_work(write=False) as db:
            await get_room(db, self.user, self.room.slug)

    def _own(self, event: Event) -> bool:
        return event.type == "typing" and bool(event.data["author"]["id"] == str(self.user.id))


def place(last: str, otherwise: int) -> int:
    """The place in a room's log that an event's id names."""
    return int(last) if last.isascii() and last.isdigit() and len(last) < 11 else otherwise


async def follow(
    request: Request, runtime: Runtime, user: Principal, slug: str, draw: Draw | None = None
) -> EventStream:
    """The room as a stream: from the event after the one that the client names, else from now on. Raises NotFound."""
    async with runtime.unit_of_work(write=False) as db:
        room = await get_room(db, user, slug)
    follower: Follower | None = None

    async def since(last: str) -> Sequence[Event]:
        return await follower.since(last) if follower else [GONE]

    async def render(event: Event) -> str:
        return follower.feed.drawn(event, draw) if follower and draw else ""

    told = stream(request, runtime, topic(room.id), since=since, render=render if draw else None, until=_is_last)

    if request.method == "HEAD":
        return told

    async def frames() -> AsyncGenerator[bytes, None]:
        nonlocal follower
        async with runtime.find(Feeds).follow(room.id) as feed, here(runtime, user, room.id):
            follower = Follower(runtime, user, room, feed, feed.newest, [await who_is_there(runtime, room.id)])
            async for frame in told.frames:
                yield frame

    return EventStream(frames())


def drawing(templates: Environment) -> Draw:
    """How an event of a room looks on its page; nothing for one that is not to be seen."""
    page = templates.get_template(PAGE)

    def draw(event: Event) -> str:
        if event.type == "message":
            shown = {"messages": [MessageRead.model_validate(event.data)], "earlier": ""}
            return render_block(templates, PAGE, "messages", shown)
        return render_block(templates, PAGE, event.type, {"event": event}) if event.type in page.blocks else ""

    return draw


@asynccontextmanager
async def present(
    websocket: WebSocket, runtime: Runtime, user: Principal, room: Room, written: Draw
) -> AsyncIterator[None]:
    """While this is open, count somebody as being there by this socket; close it once they may not be there any more.

    It begins with saying who is there, as `written` puts it.
    """
    watching = asyncio.create_task(_watch(websocket, runtime, user, room))
    try:
        async with here(runtime, user, room.id):
            await websocket.send_text(written(await who_is_there(runtime, room.id)))
            yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(websocket: WebSocket, runtime: Runtime, user: Principal, room: Room) -> None:
    patience = RECHECK
    async with runtime.bus.subscribe(rights(room.id)) as changes:
        while True:
            await changes.ready(patience)
            changes.take()
            try:
                async with runtime.unit_of_work(write=False) as db:
                    await get_room(db, user, room.slug)
                patience = RECHECK
            except NotFound:
                await websocket.close(LOST_RIGHT)
                return
            except Exception as error:  # the database is away: ask again soon
                log.warning("nobody knows who may be in a room", error=type(error).__name__)
                patience = 1.0


def _is_last(event: Event) -> bool:
    return event == GONE


async def murmur_typing(runtime: Runtime, user: Principal, slug: str) -> None:
    """Tell whoever follows the room that this person is writing. Raises NotFound."""
    async with runtime.unit_of_work(write=False) as db:
        room = await get_room(db, user, slug)
    author = {"id": str(user.id), "name": name_of(user.id, user.name)}
    await runtime.bus.publish(topic(room.id), Event("typing", {"room": slug, "author": author}))
