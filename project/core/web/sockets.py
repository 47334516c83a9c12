"""Sockets: a topic over WebSocket, both ways; the equal of a stream, with the same events.

What is delivered: of a log (`since`), every event once and in order, also to a client that was away and says by
`?after=` what it had last. Of anything else: each event at most once, and the state again when some were lost.

Codes a client is closed with: 1012 and 1013, come again; 1003, 1008 and 1009, it sent what it may not; 1011, a bug;
4401, it is nobody any more, or somebody else (one try to come again tells); 4403, this topic is closed to it.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from project.core.errors import TooMany
from project.core.identity import principal
from project.core.live.events import ID, Event
from project.core.live.hubs import Feed, Hub, Peer
from project.core.live.revoking import RECHECK, Visit
from project.core.live.streams import Render, Since, Snapshot, visitor_key
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.problems import Refusal, refusal_of
from project.core.web.validation import of_body

log = get_logger(__name__)
PROTOCOL = "uptempo"  # what is chosen among the subprotocols that a client offers
MOST = 10  # sockets of one visitor in one process
LARGEST = 65_536  # bytes of a frame
RATE, BURST = 10.0, 20.0  # frames that a client may send in a second, and at once
THROTTLED = 100  # frames in a row that had to wait, after which it is enough
LONGEST = 86_400.0  # seconds after which a client has to come again
GOODBYE = 2.0  # seconds for the last frame to get through
UNREADABLE = Refusal(400, "bad_request", "Send one JSON object in a frame of text.")

Received = Callable[[dict[str, Any]], Awaitable[Event | None]]


async def socket(
    websocket: WebSocket,
    runtime: Runtime,
    topic: str,
    *,
    snapshot: Snapshot | None = None,
    since: Since | None = None,
    start: str = "",
    render: Render | None = None,
    received: Received | None = None,
    answer: Callable[[str], Awaitable[str]] | None = None,
    during: AbstractAsyncContextManager[Any] | None = None,
) -> None:
    """Serve a topic until one side closes. Whether this visitor may hear it is asked before, in the handler.

    Raises TooMany, before the socket is accepted, for the 11th at once of one visitor in this process.

    An event becomes a frame `{"type": …, "id": …, …}` with the fields of its data or, with `?format=html`, what
    `render` makes of it, once for all in a process. A socket whose client does not keep up is closed (1013).

    Args:
        websocket: as it came, not yet accepted.
        runtime: of this process.
        topic: what to hear.
        snapshot: the present state as events; sent first, and to all again whenever events were lost.
        since: instead of a snapshot: the next events after the one with this id, as in `stream`; a client says its
            last id by `?after=` or `Last-Event-ID`. It is asked once for all sockets of a process, whenever an event
            with an id is published; events without an id are passed on.
        start: the id after which a client begins that says none.
        render: HTML of an event, or "" for nothing.
        received: is given what the client sent, a JSON object, and may return an event for this client alone. What it
            raises is answered as everywhere: in an error frame, or by closing with 4401 or 1011.
        answer: instead of `received`, for a protocol of your own: is given each frame as it came, and returns one.
        during: entered once the socket is accepted, left when it has ended.
    """
    seats, whose = runtime.bus.sockets, visitor_key(websocket)
    if seats[whose] >= MOST:
        raise TooMany("You have too many pages open that follow something. Close some.", retry_after=RECHECK)
    seats[whose] += 1
    try:
        user = await principal(websocket)
        said = websocket.query_params.get("after") or websocket.headers.get("last-event-id") or ""
        last = (said if ID.fullmatch(said) else "") or start
        html = websocket.query_params.get("format") == "html" and render is not None
        await websocket.accept(PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", ()) else None)
        async with during or nullcontext():
            peer = Peer(websocket, user, Feed(snapshot, since, render), html, last)
            await _Conversation(websocket, runtime, peer, received, answer).hold(_hub(websocket, runtime, topic))
    finally:
        seats[whose] -= 1
        if not seats[whose]:
            del seats[whose]


def _hub(websocket: WebSocket, runtime: Runtime, topic: str) -> Hub:
    hubs, key = runtime.bus.hubs, (websocket.scope.get("endpoint"), topic)
    if key not in hubs:
        hubs[key] = Hub(hubs, key, runtime.bus, topic)
    return hubs[key]


class _Conversation:
    def __init__(
        self, websocket: WebSocket, runtime: Runtime, peer: Peer, received: Received | None, answer: Any
    ) -> None:
        self.websocket, self.runtime, self.peer = websocket, runtime, peer
        self.received, self.answer = received, answer
        self.visit, self.used = Visit(runtime, websocket, peer.user), False

    async def hold(self, hub: Hub) -> None:
        """Read and send until the peer has a code to close with."""
        self.hub = hub
        hub.members.add(self.peer)
        self.peer.begin(hub)
        reading = asyncio.create_task(self._read())
        try:
            await self._watch()
        finally:
            hub.leave(self.peer)
            tasks = [task for task in (reading, self.peer.sender) if task]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._close(self.peer.code or 0)

    async def _watch(self) -> None:
        ends = time.monotonic() + LONGEST
        while self.peer.code is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.visit.patience):
                    await self.peer.stirred.wait()
            self.peer.stirred.clear()
            used, self.used = self.used, False
            if time.monotonic() > ends:
                self.peer.end(1012)
            elif self.peer.code is None and not await self.visit.lasts(used=used):
                self.peer.end(4401)

    async def _read(self) -> None:
        room, asked, throttled = BURST, time.monotonic(), 0
        try:
            while (message := await self.websocket.receive())["type"] == "websocket.receive":
                moment = time.monotonic()
                room, asked = min(BURST, room + (moment - asked) * RATE) - 1, moment
                throttled = throttled + 1 if room < 0 else 0
                if throttled > THROTTLED:
                    self.peer.end(1008)
                    return
                if room < 0:
                    await asyncio.sleep(-room / RATE)  # the server reads no more meanwhile
                self.used = True
                if self.visit.ends_soon:
                    self.peer.stirred.set()
                await self._hear(message.get("text"))
        except Exception:
            log.exception("a socket's frame was not understood", topic=self.hub.topic)
            self.peer.end(1011)
        else:
            self.peer.end(0)

    async def _hear(self, text: str | None) -> None:
        if text is None or len(text.encode()) > LARGEST:
            self.peer.end(1003 if text is None else 1009)
            return
        if self.answer:
            self.peer.put({"type": "websocket.send", "text": await self.answer(text)})
            return
        answer = await self._answer(text)
        if answer and (message := await self.hub.written(answer, self.peer.feed, html=self.peer.html)):
            self.peer.put(message)

    async def _answer(self, text: str) -> Event | None:
        if (frame := _object(text)) is None or self.received is None:
            return _refused(UNREADABLE)
        try:
            return await self.received(frame)
        except ValidationError as error:
            return _refused(refusal_of(RequestValidationError(of_body(error))))
        except Exception as error:
            refusal = refusal_of(error)
            if refusal.status >= 500:
                raise
            if refusal.status == 401:
                self.peer.end(4401)
            return _refused(refusal)

    async def _close(self, code: int) -> None:
        if code and self.websocket.application_state is WebSocketState.CONNECTED:
            with suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
                async with asyncio.timeout(GOODBYE):
                    await self.websocket.close(code)
                    return
            if abort := self.websocket.scope.get("extensions", {}).get("uptempo.abort"):
                abort()


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object of a frame; None for anything else, and for characters that no table takes."""
    try:
        frame = json.loads(text)
        json.dumps(frame, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    return frame if isinstance(frame, dict) and "\\u0000" not in text else None


def _refused(refusal: Refusal) -> Event:
    errors = [{"field": each.field, "code": each.code, "message": each.message} for each in refusal.errors]
    return Event("error", {"code": refusal.code, "detail": refusal.detail, "errors": errors})
