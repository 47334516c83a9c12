"""Closing: the signal by which whatever stays open learns that the process stops."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class Closing(asyncio.Event):
    """Set when the process is told to stop, before its server waits for its connections.

    A stream or socket awaits its next event by `unless`, and ends when that gives None.
    """

    async def unless(self, awaitable: Awaitable[T]) -> T | None:
        """What the awaitable gives, or None once the process is stopping; the awaitable is cancelled then."""
        work, stopping = asyncio.ensure_future(awaitable), asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            work.cancel()
            stopping.cancel()

    @contextmanager
    def told_by_signals(self, drain: float) -> Iterator[None]:
        """While open, SIGTERM and SIGINT set it; the server hears of them `drain` seconds later, of a second at once.

        uvicorn, alone, as one of several or under gunicorn, has its handlers in place before an app's lifespan begins,
        so this works however the site is served. Where nobody has one, or outside the main thread, nothing changes.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
        servers = {each: handler for each, handler in former.items() if callable(handler)}
        for each, handler in servers.items():
            signal.signal(each, self._heard(handler, drain))
        try:
            yield
        finally:
            for each in servers:
                signal.signal(each, former[each])

    def _heard(
        self, server: Callable[[int, FrameType | None], object], drain: float
    ) -> Callable[[int, FrameType | None], None]:
        loop = asyncio.get_running_loop()

        def hear(number: int, frame: FrameType | None) -> None:
            if drain and not self.is_set():
                loop.call_soon_threadsafe(loop.call_later, drain, server, number, None)
            else:
                server(number, frame)
            loop.call_soon_threadsafe(self.set)

        return hear
