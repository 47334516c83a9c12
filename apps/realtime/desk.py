"""The desk: what is said over the sockets of this process is saved together, as much as came while the last was saved.

A room's row is locked while something that was said in it is saved. One transaction for each is the limit of a room in
which many talk at once; so the more come, the more go into one.
"""

import asyncio
from dataclasses import dataclass, field

from sqlalchemy.exc import DataError, IntegrityError

from apps.realtime.messages import post_messages
from project.core import NotFound, Principal, Runtime

MOST = 100  # messages in one transaction


@dataclass
class Waiting:
    """Somebody who has said something, until it is saved."""

    user: Principal
    body: str
    saved: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, error: Exception | None) -> None:
        """Tell them; whoever has left is told nothing."""
        if not self.saved.done():
            self.saved.set_exception(error) if error else self.saved.set_result(None)


class Desk:
    """Of one room."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: list[Waiting] = []
        self._saving: asyncio.Task[None] | None = None

    async def say(self, user: Principal, slug: str, body: str) -> None:
        """Say something, and return when it is saved; raises what `post_message` does."""
        mine = Waiting(user, body)
        self._waiting.append(mine)
        self._saving = self._saving or asyncio.create_task(self._save_all(slug))
        await mine.saved

    async def _save_all(self, slug: str) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            await self._save(slug, some)
        self._saving = None

    async def _save(self, slug: str, some: list[Waiting]) -> None:
        try:
            async with self._runtime.unit_of_work() as db:
                found = await post_messages(db, slug, [(each.user, each.body) for each in some])
        except (DataError, IntegrityError) as error:  # one of them cannot be saved, such as of a person who is gone
            if len(some) == 1:
                some[0].settle(error)
                return
            for each in some:
                await self._save(slug, [each])
        except Exception as error:
            for each in some:
                each.settle(error)
        else:
            for each, read in zip(some, found, strict=True):
                each.settle(None if read else NotFound())
