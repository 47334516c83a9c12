"""A process's part of the work: it claims rows, runs them, renews their leases, and does what any worker may do."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy.exc import DBAPIError, TimeoutError as PoolTimeout

from project.core.jobs import claiming, schedule
from project.core.jobs.claiming import LEASE_SECONDS, Claimed
from project.core.jobs.declaring import GiveUp
from project.core.jobs.running import LostClaim, Running, call, describe
from project.core.jobs.table import CHANGED, State, topic
from project.core.log import about, get_logger
from project.core.metrics import Histogram
from project.core.tracing import span
from project.core.watchdog import ABOUT

if TYPE_CHECKING:
    from project.core.db.session import AsyncSession
    from project.core.runtime import Runtime

log = get_logger(__name__)
BEAT_SECONDS = 5.0
SUSPECT_SECONDS = 1.0
TOOK = Histogram("job_seconds", "How long a try took; after a queued one another follows.", "name", "outcome")
AWAY = (DBAPIError, PoolTimeout, OSError, TimeoutError)


def whereabouts(kind: str) -> str:
    """What the names of all workers of a kind on this machine begin with."""
    return f"{kind}:{socket.gethostname()[:60]}:"


class Executor:
    """Runs rows of some queues in this process, at most `concurrency` at once.

    Attributes:
        name: whose rows these are, in the table.
        running: the rows that are held, with their tasks.
    """

    def __init__(
        self, runtime: "Runtime", *, concurrency: int, queues: Sequence[str] | None = None, kind: str = "worker"
    ) -> None:
        self.runtime = runtime
        self.types = runtime.registry.jobs
        self.queues = sorted(queues or {each.queue for each in self.types.values()} | {"default"})
        self.concurrency = concurrency
        self.name = f"{whereabouts(kind)}{os.getpid()}:{secrets.token_hex(3)}"
        self.running: dict[UUID, tuple[Running, asyncio.Task[Any]]] = {}
        self._cancelling: set[UUID] = set()
        self._finished: list[tuple[Claimed, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def claim(self, room: int) -> list[Claimed]:
        """Take up to `room` due rows; suspects run one at a time, so that the innocent do not die a third time."""
        held = any(running.row.suspect for running, _ in self.running.values())
        async with self.runtime.unit_of_work() as db:
            rows = await claiming.claim(db, self.queues, self.name, room)
            later = [row for row in rows if row.suspect][0 if held else 1 :]
            if later:
                await claiming.give_back(db, later, wait=SUSPECT_SECONDS)
        return [row for row in rows if row not in later]

    async def idle_seconds(self) -> float:
        """How long nothing of these queues becomes due, as far as the table knows; a minute at most."""
        async with self.runtime.unit_of_work(write=False) as db:
            found = await claiming.until_next(db, self.queues)
        return 60.0 if found is None else found

    async def run(self, row: Claimed) -> State | None:
        """Run one row and write down its outcome; None when it is this worker's no longer, or was given back.

        Cancelling this task gives the row back, and uses up none of its tries.
        """
        name, began, outcome = row.name if row.name in self.types else "unknown", time.monotonic(), None
        traced = span(name, SpanKind.CONSUMER, {}, row.traceparent)
        try:
            with about(row.request_id, str(row.owner or ""), str(row.id)), traced as current:
                outcome = await self._run(row)
                if outcome in (State.DEAD, State.QUEUED):
                    current.set_status(StatusCode.ERROR)
        finally:
            TOOK.observe(time.monotonic() - began, name, outcome or "given back")
        return outcome

    async def _run(self, row: Claimed) -> State | None:
        running = Running(self.runtime, row)
        task = asyncio.current_task()
        assert task is not None
        if row.id in self.running:  # this process stalled, lost the row, and has claimed it anew
            self.running[row.id][1].cancel()
        self.running[row.id] = mine = running, task
        try:
            await self._tell(row)
            kind = self.types.get(row.name)
            if kind is None:
                raise GiveUp(f"No installed app declares {row.name}.")
            result = await call(running, kind)
            if not running.ended:
                await self._finish(running, result)
            return State.DONE
        except LostClaim:
            log.warning("job lost to another worker", job=row.name)
            return None
        except asyncio.CancelledError:
            if not task.cancelling():  # it is the job's own: of something that it waited for
                return await self._failed(running, RuntimeError("what it waited for was cancelled"))
            if row.id in self._cancelling:
                return await self._end(row, State.CANCELLED, "Cancelled while it ran.")
            await asyncio.shield(self._surely(lambda db: claiming.give_back(db, [row])))
            raise
        except Exception as error:
            return await self._failed(running, error)
        finally:
            if self.running.get(row.id) is mine:
                del self.running[row.id]
                self._cancelling.discard(row.id)
            await self._tell(row)

    async def _tell(self, row: Claimed) -> None:
        if row.owner is not None:  # nobody watches the others, and there are many
            await self.runtime.bus.publish(topic(row.id), CHANGED)

    async def beat(self) -> None:
        """Renew leases, free the rows of dead workers, enqueue what the clock asks for; until cancelled."""
        wait = 0.0
        while True:
            await asyncio.sleep(wait)
            wait = BEAT_SECONDS
            try:
                await self.renew()
                await self.sweep()
                async with self.runtime.unit_of_work() as db:
                    wait = min(wait, await schedule.tick(db, self.types))
            except AWAY as error:
                log.warning("the database is away; the worker waits", error=type(error).__name__)
            except Exception:
                log.exception("a beat failed; without the next one every lease here would end")

    async def renew(self) -> None:
        """Renew the leases of what runs here; cancel what somebody cancelled or another worker has taken."""
        held = list(self.running.values())
        if not held:
            return
        async with self.runtime.unit_of_work() as db:
            kept = await claiming.renew(db, [running.row for running, _ in held])
        for running, task in held:
            if not running.ended and kept.get(running.id, True):
                self._cancelling.add(running.id)
                task.cancel()

    async def sweep(self, of_worker: str | None = None) -> None:
        """Free the rows of dead workers, and ring for everything that is due."""
        async with self.runtime.unit_of_work() as db:
            due = await claiming.sweep(db, of_worker=of_worker)
        for queue in due:
            self.runtime.queue.bell.ring(queue)

    async def _finish(self, running: Running, result: Any) -> None:
        """Mark the row done; those that end at the same moment share one statement."""
        if result is not None or running.unsaved:
            values = {"result": result, **running.unsaved}
            await self._surely(lambda db: claiming.end(db, [running.row], State.DONE, error="", **values))
            return
        written = asyncio.get_running_loop().create_future()
        self._finished.append((running.row, written))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(written)

    async def _flush(self) -> None:
        try:
            while self._finished:
                batch, self._finished = self._finished, []
                rows = [row for row, _ in batch]
                try:
                    await self._surely(lambda db: claiming.end(db, rows, State.DONE, error=""))  # noqa: B023
                finally:
                    for _, written in batch:
                        if not written.done():
                            written.set_result(None)
        finally:
            self._flushing = None

    async def _failed(self, running: Running, error: Exception) -> State | None:
        row, kind = running.row, self.types.get(running.row.name)
        failures = row.failures + 1
        if running.ended:
            log.error("job failed after its last transaction", job=row.name, exc_info=error)
            return State.DONE
        hopeless = isinstance(error, GiveUp) or kind is None or failures >= kind.max_tries
        told = {"failures": failures, "error": describe(error), **running.unsaved}
        log.warning("job failed", job=row.name, failures=failures, final=hopeless, exc_info=error)
        if hopeless:
            await self._surely(lambda db: claiming.end(db, [row], State.DEAD, **told))
            return State.DEAD
        assert kind is not None
        wait = kind.wait(failures)
        await self._surely(lambda db: claiming.give_back(db, [row], wait=wait, **told))
        return State.QUEUED

    async def _end(self, row: Claimed, state: State, error: str) -> State:
        await self._surely(lambda db: claiming.end(db, [row], state, error=error))
        return state

    async def _surely(self, write: "Callable[[AsyncSession], Awaitable[Any]]") -> None:
        """Write an outcome, also when the database is away for a while; after half a minute the lease has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEASE_SECONDS):
                while True:
                    with contextlib.suppress(*AWAY):
                        async with self.runtime.unit_of_work() as db:
                            await write(db)
                            return
                    await asyncio.sleep(1)
        log.error("the outcome of jobs could not be written; they will run again")


ABOUT[Executor.run.__code__] = lambda names: {"job": names["row"].name, "job_id": str(names["row"].id)}
