"""Readers who have left: what they asked for ends with them, so that nobody waits behind it."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE = 0.25  # seconds that a request takes before anybody looks whether it is still wanted


class Leaving:
    """Ends a GET or HEAD whose client has gone, which a server goes on with; writing is carried out, wanted or not.

    A hundred slow ones that were given up would hold every connection to the database, and who asks next would wait
    for them all. Raises ClientDisconnect then, which the edge takes note of.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or _has_body(scope):
            await self.app(scope, receive, send)
            return
        watch = _Watch(receive)

        async def send_on(message: Message) -> None:
            watch.stop()  # a stream looks by itself, and what follows an answer is nobody's to end
            await send(message)

        try:
            await self.app(scope, watch.receive, send_on)
        except asyncio.CancelledError:
            if not watch.left or watch.task.uncancel():
                raise
            raise ClientDisconnect from None
        finally:
            watch.stop()


def _has_body(scope: Scope) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


class _Watch:
    """Cancels the present task when the client goes; begins to look only after a while, as most are done by then."""

    def __init__(self, receive: Receive) -> None:
        task = asyncio.current_task()
        assert task
        self.task, self.left = task, False
        self._receive = receive
        self._seen: list[Message] = []
        self._looking: asyncio.Task[None] | None = None
        self._begins = task.get_loop().call_later(PATIENCE, self._begin)

    def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while (message := await self._receive())["type"] != "http.disconnect":
            self._seen.append(message)
        self.left = True
        self.task.cancel()

    async def receive(self) -> Message:
        """What the request says, also where it has been seen here before."""
        return self._seen.pop(0) if self._seen else await self._receive()

    def stop(self) -> None:
        """Look no longer."""
        self._begins.cancel()
        if self._looking:
            self._looking.cancel()
