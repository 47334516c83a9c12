"""Closing: the signal by which whatever stays open learns that the process stops."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Closing(asyncio.Event):
    """Set when the server begins to stop, before it waits for its connections.

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
