"""Streams: a topic as server-sent events. Subscribe, then snapshot, then stream, so that nothing falls between."""

import json
import secrets
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.requests import HTTPConnection, Request
from starlette.types import Receive, Scope, Send

from project.core.errors import TooMany
from project.core.identity import Principal, principal
from project.core.live.bus import Subscription
from project.core.live.events import END, GAP, ID, Event
from project.core.live.revoking import RECHECK, REVOCATIONS, REVOKED, Visit, concerns
from project.core.log import get_logger

if TYPE_CHECKING:
    from project.core.runtime import Runtime

log = get_logger(__name__)
HEARTBEAT = 15.0  # seconds of silence before a comment is sent, so that no proxy takes the stream for dead
RETRY_MS = 1000  # a browser that lost the stream waits so long before it comes back, and up to as long again
MOST = 20  # streams of one visitor in one process: each reads what changed
REMEMBERED = 200  # ids of events that a stream has sent
BEAT = Event("heartbeat")
# What the API's document says of a route that answers so: `responses=AS_EVENTS, response_class=StreamingResponse`.
AS_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The events."}
}

Snapshot = Callable[[], Awaitable[Sequence[Event]]]
Replay = Callable[[str], Awaitable[Sequence[Event] | None]]
Since = Callable[[str], Awaitable[Sequence[Event]]]
Render = Callable[[Event], Awaitable[str | None]]
Until = Callable[[Event], bool]


class EventStream(EventSourceResponse):
    """The answer; with it ends its subscription, whether the stream was read to its end or left."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self.frames = frames
        super().__init__(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.frames):
            await super().__call__(scope, receive, send)


def stream(
    request: Request,
    runtime: "Runtime",
    *topics: str,
    by: Subscription | None = None,
    snapshot: Snapshot | None = None,
    replay: Replay | None = None,
    since: Since | None = None,
    render: Render | None = None,
    until: Until | None = None,
) -> EventStream:
    """A topic, or several, as an answer that goes on. Whether this visitor may hear it is asked before, in the handler.

    Raises TooMany for the 21st at once of one visitor in this process, and TypeError unless it has either a `snapshot`,
    for a state that changes, or a `since`, for a log that grows.

    It ends when the visitor leaves, signs out or becomes somebody else, and when the process stops.

    Args:
        request: the request at hand.
        runtime: of this process.
        topics: what to hear.
        by: how to hear it, if not everything in its order.
        snapshot: the present state as events; sent first, and again whenever events were lost. It opens a short
            unit of work of its own, as `replay`, `since` and `render` do where they read.
        replay: the events after the one with this id, where they are kept; None for an id that is not known,
            then the snapshot is sent. A client says its last id by `Last-Event-ID` or `?last_event_id=`.
        since: the next events after the one with this id, each with an id; as many as it likes, and none when there
            are no more. "" means from the beginning. It is asked when the stream begins, until it gives none, and
            again whenever something is published on the topic, which itself is only a bell. Asked for what comes
            after the last event of all, it gives that one again: so a client that comes back late is told `end`.
        render: HTML of an event, for `ui.stream` in a page; without it, and where it gives None, the data is sent as
            JSON under its type.
        until: whether this event is the last one; then `end` follows and the client does not come back.
    """
    if (snapshot is None) is (since is None) or (since and replay):
        raise TypeError("a stream has either a snapshot, perhaps with a replay, or a since")
    if runtime.bus.streams[visitor_key(request)] >= MOST:
        raise TooMany("You have too many pages open that follow something. Close some.", retry_after=RECHECK)
    last = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
    sent = deque([last] if last and ID.fullmatch(last) else [], REMEMBERED)
    return EventStream(_Stream(request, runtime, topics, by, snapshot, replay, since, render, until, sent).frames())


def visitor_key(request: HTTPConnection) -> str:
    """Whoever is signed in, else the address."""
    user: Principal | None = getattr(request.state, "principal", None)
    return str(user.id) if user else request.client.host if request.client else ""


@dataclass
class _Stream:
    request: Request
    runtime: "Runtime"
    topics: tuple[str, ...]
    by: Subscription | None
    snapshot: Snapshot | None
    replay: Replay | None
    since: Since | None
    render: Render | None
    until: Until | None
    sent: deque[str]  # the last ids that the client has seen
    visit: Visit = field(init=False)

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """The bytes of the answer."""
        streams, whose = self.runtime.bus.streams, visitor_key(self.request)
        streams[whose] += 1
        try:
            yield format_sse_event(retry=RETRY_MS + secrets.randbelow(RETRY_MS))
            if self.request.method == "HEAD":
                return
            self.visit = Visit(self.runtime, self.request, await principal(self.request))
            async with self.runtime.bus.subscribe(*self.topics, REVOCATIONS, by=self.by) as events:
                events.put(GAP)
                while event := await self._next(events):
                    if event is BEAT:
                        yield KEEPALIVE_COMMENT
                        continue
                    for each in await (self._logged(self.since, events) if self.since else self._due(event)):
                        yield await self._frame(each)
                        if each.id:
                            self.sent.append(each.id)
                        if self.until and self.until(each):
                            yield format_sse_event(event=END.type, data_str="")
                            return
        except Exception:
            log.exception("a stream broke off", topics=self.topics)
        finally:
            streams[whose] -= 1
            if not streams[whose]:
                del streams[whose]

    async def _next(self, events: Subscription) -> Event | None:
        """What happens next, if only a heartbeat; None when the stream is over."""
        while True:
            if self.visit.patience <= 0 and not await self.visit.lasts():
                return None
            ready = await self.runtime.closing.unless(events.ready(min(HEARTBEAT, self.visit.patience)))
            if not ready:
                return BEAT if ready is False else None
            event = await anext(events, None)
            if event is None or event.type != REVOKED:
                return event
            if concerns(event, self.visit.visitor):
                topic = event.data["topic"]
                if topic in self.topics or not (topic or await self.visit.lasts()):
                    return None

    async def _due(self, event: Event) -> Sequence[Event]:
        if event != GAP:
            return [] if event.id in self.sent else [event]
        # From the oldest id that is remembered: before the gap was told, others may have sent newer events.
        missed = await self.replay(self.sent[0]) if self.replay and self.sent else None
        if missed is None:
            return await self.snapshot() if self.snapshot else []
        return [each for each in missed if each.id not in self.sent]

    async def _logged(self, since: Since, bells: Subscription) -> Sequence[Event]:
        bells.clear(but=REVOKED)  # before the question: however many have rung, it is asked once
        last = self.sent[-1] if self.sent else ""
        found = await since(last)
        if found and found[-1].id not in ("", last):
            bells.put(GAP)  # there may be more
        return found

    async def _frame(self, event: Event) -> bytes:
        if self.render and (html := await self.render(event)) is not None:
            return format_sse_event(data_str=html, id=event.id or None)
        return format_sse_event(event=event.type, data_str=json.dumps(event.data), id=event.id or None)
