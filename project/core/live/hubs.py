"""Hubs: what is published on a topic is read and written once in a process, and handed to all of its sockets."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import coroutine
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from project.core.identity import Principal
from project.core.live.bus import Bus
from project.core.live.events import GAP, Event
from project.core.live.revoking import REVOCATIONS, REVOKED, concerns
from project.core.live.streams import Render, Since, Snapshot
from project.core.log import get_logger

log = get_logger(__name__)
QUEUE = 500  # frames that wait for one socket
STALL = 5.0  # seconds in which a frame has to get through
REMEMBERED = 500  # ids that a hub has read lately
GONE, TOO_SLOW, LOST_RIGHT, BROKEN = 0, 1013, 4403, 1011


@dataclass(frozen=True, slots=True)
class Feed:
    """Where a topic's events come from and how they look; of the topic, not of the visitor."""

    snapshot: Snapshot | None = None
    since: Since | None = None
    render: Render | None = None


@dataclass(eq=False, slots=True)
class Peer:
    """The sending half of one socket: at most QUEUE frames wait, and none for longer than STALL seconds."""

    websocket: WebSocket
    user: Principal | None
    feed: Feed
    html: bool
    last: str  # id of the last event that the client has, where events are kept
    code: int | None = None  # with which it closes
    stirred: asyncio.Event = field(default_factory=asyncio.Event)  # set when it ends, or is to be asked who it is
    waiting: deque[Message] = field(default_factory=deque)
    sender: asyncio.Task[None] | None = None

    def end(self, code: int) -> None:
        """Close with this code; the first one counts."""
        self.code = code if self.code is None else self.code
        self.waiting.clear()
        self.stirred.set()

    def begin(self, hub: "Hub") -> None:
        """Catch up, then follow."""
        self.sender = asyncio.create_task(self._send_all(partial(self._catch_up, hub)))

    def put(self, message: Message) -> None:
        """Send now, as far as the server takes it at once; else later, in order."""
        if self.code is not None:
            return
        if self.sender:
            self.waiting.append(message)
            if len(self.waiting) > QUEUE:
                self.end(TOO_SLOW)
            return
        sending = self.websocket.send(message)
        try:
            awaited = sending.send(None)  # one step as a task would do it, without the cost of a task
        except StopIteration:
            return
        except (WebSocketDisconnect, RuntimeError):
            self.end(GONE)
        else:
            self.sender = asyncio.create_task(self._send_all(partial(_in_time, partial(_resumed, sending, awaited))))

    async def _send_all(self, first: Callable[[], Awaitable[None]]) -> None:
        try:
            await first()
            while self.waiting:
                await self._send(self.waiting.popleft())
        except TimeoutError:
            self.end(TOO_SLOW)
        except (WebSocketDisconnect, RuntimeError):
            self.end(GONE)
        except Exception:
            log.exception("a socket broke off")
            self.end(BROKEN)
        finally:
            self.sender = None

    async def _send(self, message: Message) -> None:
        await _in_time(partial(self.websocket.send, message))

    async def _catch_up(self, hub: "Hub") -> None:
        while found := await hub.after(self.last, self.feed):
            await self._send_events(hub, found)
            self.last = found[-1].id
        await self._send_events(hub, await hub.join(self))

    async def _send_events(self, hub: "Hub", events: Sequence[Event]) -> None:
        for event in events:
            if message := await hub.written(event, self.feed, html=self.html):
                await self._send(message)


async def _in_time(sending: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(STALL):
        await sending()


@coroutine
def _resumed(sending: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """The rest of a coroutine that was begun by hand and then gave what it waits for."""
    with suppress(StopIteration):
        while True:
            try:
                yield awaited
            except BaseException as error:  # a cancellation, too, is the coroutine's own
                awaited = sending.throw(error)
            else:
                awaited = sending.send(None)


class Hub:
    """The sockets of one process on one topic.

    Where events are kept, one with an id is a bell: the log is read on, once for all, so that every socket gets each
    event once and in the log's order. One without an id (somebody types, somebody is here) is passed on as it is.
    """

    def __init__(self, hubs: dict[Hashable, "Hub"], key: Hashable, bus: Bus, topic: str) -> None:
        self.topic = topic
        self.members: set[Peer] = set()
        self._hubs, self._key, self._bus = hubs, key, bus
        self._joined: dict[bool, set[Peer]] = {False: set(), True: set()}
        self._last: str | None = None  # id of the last event that all who have joined were given
        self._read = deque[str](maxlen=REMEMBERED)
        self._turn = asyncio.Lock()
        self._stands = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def leave(self, peer: Peer) -> None:
        """Give the peer nothing more; the last one ends the hub."""
        self.members.discard(peer)
        self._joined[peer.html].discard(peer)
        if not self.members:
            self._task.cancel()
            self._forget()

    def _forget(self) -> None:
        if self._hubs.get(self._key) is self:
            del self._hubs[self._key]

    async def join(self, peer: Peer) -> Sequence[Event]:
        """Let the peer follow from now on; returns the events that it has to be given first."""
        await self._stands.wait()
        missed: list[Event] = []
        async with self._turn:
            if peer.feed.since:
                if self._last is None:
                    self._last = peer.last
                    self._events.put(GAP)  # who knows what came meanwhile
                await self._read_on(peer.feed)
                while peer.last != self._last and (found := await self.after(peer.last, peer.feed)):
                    ids = [event.id for event in found]
                    missed += found[: ids.index(self._last) + 1] if self._last in ids else found
                    peer.last = missed[-1].id
            self._joined[peer.html].add(peer)
        return [*missed, *(await peer.feed.snapshot() if peer.feed.snapshot else ())]

    async def after(self, last: str, feed: Feed) -> Sequence[Event]:
        """What is kept after this id; a log that has ended repeats its last event, which is nothing new."""
        found = await feed.since(last) if feed.since else ()
        return found if found and found[-1].id not in ("", last) else ()

    async def written(self, event: Event, feed: Feed, *, html: bool) -> Message | None:
        """The event as a message to send; None where it looks like nothing."""
        text = await feed.render(event) if html and feed.render else as_json(event)
        return {"type": "websocket.send", "text": text.encode(errors="replace").decode()} if text else None

    async def _run(self) -> None:
        try:
            async with self._bus.subscribe(self.topic, REVOCATIONS) as self._events:
                self._stands.set()
                async for event in self._events:
                    if event.type == REVOKED:
                        self._revoke(event)
                    else:
                        await self._due(event)
        except Exception:
            log.exception("a hub broke off", topic=self.topic)
        self._forget()
        for peer in self.members:
            peer.end(TOO_SLOW)  # they come again, and get what they missed

    def _revoke(self, event: Event) -> None:
        for peer in self.members:
            if concerns(event, peer.user) and event.data["topic"] in ("", self.topic):
                peer.end(LOST_RIGHT) if event.data["topic"] else peer.stirred.set()

    async def _due(self, event: Event) -> None:
        feed = next(iter(self.members)).feed
        if feed.since and (event.id or event == GAP):
            if self._last is not None and event.id not in self._read:
                async with self._turn:
                    await self._read_on(feed)
            return
        for each in await feed.snapshot() if feed.snapshot and event == GAP else (event,):
            await self._hand_out(each, feed)

    async def _read_on(self, feed: Feed) -> None:
        while found := await self.after(self._last or "", feed):
            for event in found:
                await self._hand_out(event, feed)
                self._read.append(event.id)
            self._last = found[-1].id

    async def _hand_out(self, event: Event, feed: Feed) -> None:
        for html, peers in self._joined.items():
            if peers and (message := await self.written(event, feed, html=html)):
                for peer in tuple(peers):
                    peer.put(message)
        await asyncio.sleep(0)


Hubs = dict[Hashable, Hub]


def as_json(event: Event) -> str:
    """The event as one object: its type and id beside the fields of its data."""
    data = event.data if isinstance(event.data, dict) else {} if event.data is None else {"data": event.data}
    named = {"id": event.id} if event.id else {}
    return json.dumps({**named, **data, "type": event.type}, ensure_ascii=False)
