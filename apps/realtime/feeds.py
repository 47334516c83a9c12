"""Feeds: what happens in a room, heard and drawn once for all who follow it in this process.

The bus is quick and may lose, double or mix up; the room's log has no holes. So an event that continues the log is
passed on as it came, and any other way of hearing means: read the log.
"""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

from apps.realtime.desk import Desk
from apps.realtime.messages import PORTION, happened
from apps.realtime.people import told
from apps.realtime.services import ACCESS, topic
from project.core import Runtime
from project.core.live import GAP, Event
from project.core.live.bus import Subscription

KEPT = 200  # events that are remembered for whoever is a little late
MURMURS = 50  # events without a place in the log: who is there, who types


class Feed:
    """One room. `newest` is the last place in its log that is known; `access` grows when rights have changed."""

    def __init__(self, runtime: Runtime, room_id: UUID, heard: Subscription) -> None:
        self._runtime, self._room_id, self._heard = runtime, room_id, heard
        self._reading = asyncio.Lock()
        self.desk = Desk(runtime)
        self._stale = True
        self._log: deque[Event] = deque()
        self._murmurs: deque[Event] = deque(maxlen=MURMURS)
        self._drawn: OrderedDict[int, tuple[Event, str]] = OrderedDict()
        self._since = self.newest = -1  # every event after `_since` up to `newest` is in the log
        self.access = self.murmured = 0

    async def hear(self) -> None:
        """Take in what has happened since the last time; asks the database only where the bus left something out."""
        for event in self._heard.take():
            if event == GAP:
                self._stale, self.access = True, self.access + 1
            elif event.type == ACCESS.type:
                self.access += 1
            elif event.id:
                self._continue(event)
            else:
                self._murmurs.append(event)
                self.murmured += 1
        if self._stale or self._reading.locked():  # whoever hears while another reads would know too little
            async with self._reading:
                if self._stale:
                    await self._read()

    async def since(self, last: int) -> list[Event]:
        """What happened after that place in the log, in order; the first of it where it is much. Raises NotFound."""
        if last < self._since:
            async with self._runtime.unit_of_work(write=False) as db:
                latest, found = await happened(db, self._room_id, last)
            self._stale |= latest > self.newest  # else whoever has this would be ahead of the feed
            return list(found)
        return [event for event in self._log if int(event.id) > last] if last < self.newest else []

    def murmurs(self, after: int) -> list[Event]:
        """What was murmured after the first so many."""
        missed = self.murmured - after
        return list(self._murmurs)[-missed:] if missed else []

    def drawn(self, event: Event, draw: Callable[[Event], str]) -> str:
        """The event as `draw` shows it, which is asked once."""
        known = self._drawn.get(id(event))
        if known is None or known[0] is not event:
            known = self._drawn[id(event)] = (event, draw(event))
            if len(self._drawn) > KEPT + MURMURS:
                self._drawn.popitem(last=False)
        return known[1]

    def _continue(self, event: Event) -> None:
        place = int(event.id)
        if place == self.newest + 1 and event.data is not None and not self._stale:
            self._keep([event], place)
        elif place > self.newest:
            self._stale = True

    async def _read(self) -> None:
        self._stale = False  # before the question: what happens during it makes it stale again
        try:
            async with self._runtime.unit_of_work(write=False) as db:
                latest, found = await happened(db, self._room_id, self.newest)
        except BaseException:
            self._stale = True
            raise
        latest = max(latest, self.newest)  # meanwhile somebody else may have heard what came over the bus
        if self.newest < 0 or len(found) == PORTION:
            self._log.clear()
            self._since, found = latest, []
        self._keep([each for each in found if int(each.id) > self.newest], latest)

    def _keep(self, events: Sequence[Event], newest: int) -> None:
        for event in events:
            if event.type == "deleted":
                self._log = deque(
                    each for each in self._log if each.type != "message" or each.data["id"] != event.data["id"]
                )
            self._log.append(event)
        self.newest = newest
        while len(self._log) > KEPT:
            self._since = int(self._log.popleft().id)


class Feeds:
    """The feeds of this process: one for each room that somebody follows here."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: dict[UUID, tuple[Feed, AsyncExitStack]] = {}
        self._followers = Counter[UUID]()
        self._changing = asyncio.Lock()

    @asynccontextmanager
    async def follow(self, room_id: UUID) -> AsyncIterator[Feed]:
        """The room's feed, for as long as this is open; raises NotFound when the room is gone."""
        self._followers[room_id] += 1
        try:
            async with self._changing:
                if room_id not in self._open:
                    stack = AsyncExitStack()
                    await stack.enter_async_context(told(self._runtime, room_id))
                    heard = await stack.enter_async_context(self._runtime.bus.subscribe(topic(room_id)))
                    self._open[room_id] = Feed(self._runtime, room_id, heard), stack
            feed = self._open[room_id][0]
            await feed.hear()
            yield feed
        finally:
            self._followers[room_id] -= 1
            if not self._followers[room_id]:
                del self._followers[room_id]
                if known := self._open.pop(room_id, None):
                    await known[1].aclose()
