"""The bus: what is published on a topic reaches whoever is subscribed to it, here inside one process."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Self

from project.core.db.engine import on_commit
from project.core.db.session import AsyncSession
from project.core.live.events import GAP, Event, check_topic, decode, encode

if TYPE_CHECKING:
    from project.core.live.hubs import Hubs

WAITING = 1000  # events that wait for one listener


class Subscription:
    """What one listener has yet to hear: `async for event in subscription`, until the bus closes."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Add an event. Where there is no room, a gap takes the place of all that waits."""
        if len(self._events) >= WAITING:
            self._events.clear()
            event = GAP
        self._events.append(event)
        self._news.set()

    def hear(self, topic: str, event: Event) -> None:
        """Note what was published on one of its topics."""
        self.put(event)

    def take(self) -> list[Event]:
        """All that waits, at once."""
        taken = list(self._events)
        self.clear()
        return taken

    def clear(self, *, but: str = "") -> None:
        """Forget what waits, other than events of one type."""
        self._events = deque(event for event in self._events if event.type == but)
        if not self._closed and not self._events:
            self._news.clear()

    def close(self) -> None:
        """End the iteration once what waits has been heard."""
        self._closed = True
        self._news.set()

    async def ready(self, seconds: float) -> bool:
        """Wait for an event, or for the end; False when neither has come in time. Takes nothing out."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        return self._news.is_set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        await self._news.wait()
        if not self._events:
            raise StopAsyncIteration
        event = self._events.popleft()
        if not self._events:
            self.clear()
        return event


class Bells(Subscription):
    """Hears of each topic only that it changed, once however often that was; what is told on `whole`, word for word."""

    def __init__(self, *whole: str) -> None:
        super().__init__()
        self._whole = whole

    def hear(self, topic: str, event: Event) -> None:
        if topic in self._whole:
            self.put(event)
        elif (bell := Event("changed", topic)) not in self._events:
            self.put(bell)


class Bus:
    """Events within one process. RedisBus has the same methods and reaches the others, too."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, set[Subscription]] = {}
        self.streams = Counter[str]()  # {visitor: how many streams they follow}
        self.sockets = Counter[str]()  # the same of sockets
        self.hubs: Hubs = {}  # {endpoint and topic: the sockets that follow it}

    async def publish(self, topic: str, event: Event) -> None:
        """Send now, from code without a unit of work; never waits, never fails because Redis is away.

        Raises ValueError or TypeError for a topic or an event that cannot travel.
        """
        self.send(topic, checked(topic, event))

    @asynccontextmanager
    async def subscribe(self, *topics: str, by: Subscription | None = None) -> AsyncIterator[Subscription]:
        """Hear what is published on these topics from now on; raises ValueError for a name that cannot be one.

        Once inside, nothing is missed without a `gap` event: what is read from the database then is the state
        to which the events are added. After a gap, read it again.
        """
        for topic in topics:
            check_topic(topic)
        subscription = by or Subscription()
        for topic in topics:
            self._subscriptions.setdefault(topic, set()).add(subscription)
        try:
            await self._stand()
            yield subscription
        finally:
            for topic in topics:
                self._subscriptions[topic].discard(subscription)
                if not self._subscriptions[topic]:
                    del self._subscriptions[topic]

    def listeners(self, topic: str) -> int:
        """How many subscriptions of this process hear the topic."""
        return len(self._subscriptions.get(topic, ()))

    def send(self, topic: str, encoded: bytes) -> None:
        """Bring an encoded event on its way."""
        self.deliver(topic, encoded)

    def deliver(self, topic: str, encoded: bytes) -> None:
        """Give an event that has arrived to each who listens."""
        if listening := self._subscriptions.get(topic):
            event = decode(encoded)
            for subscription in listening:
                subscription.hear(topic, event)

    def all_subscriptions(self) -> set[Subscription]:
        """Every subscription of this process."""
        return set().union(*self._subscriptions.values())

    async def close(self) -> None:
        """End every subscription."""
        for subscription in self.all_subscriptions():
            subscription.close()

    async def _stand(self) -> None:
        """Return when events arrive, or a gap is sure to follow."""


def checked(topic: str, event: Event) -> bytes:
    """The encoded event; raises ValueError or TypeError for what cannot be published."""
    check_topic(topic)
    if event.type == GAP.type:
        raise ValueError("a gap is the bus's own word")
    return encode(event)


async def publish(db: AsyncSession, topic: str, event: Event) -> None:
    """Send the event once the unit of work that `db` belongs to has committed; never after a rollback.

    Raises ValueError or TypeError, at once, for a topic or an event that cannot travel.
    """
    bus: Bus = db.info["bus"]
    encoded = checked(topic, event)

    async def send() -> None:
        bus.send(topic, encoded)

    on_commit(db, send)
