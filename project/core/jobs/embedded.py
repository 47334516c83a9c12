"""The loop inside a web process that has no Redis: SQLite or PostgreSQL, and this process runs the jobs itself."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from project.core.jobs.executor import AWAY, Executor, whereabouts
from project.core.jobs.table import State
from project.core.log import get_logger

if TYPE_CHECKING:
    from project.core.runtime import Runtime

log = get_logger(__name__)
KIND = "embedded"
POLL_SECONDS = 2.0  # a terminal command may have enqueued something, and cannot ring here
LOCK_SECONDS = 1.0
RELOAD_GRACE = 1.0  # seconds; who edits code does not want to wait


class NearBell(asyncio.Event):
    """The bell of one process: rung by a commit, heard by the loop beside it."""

    def ring(self, queue: str) -> None:
        """Wake the loop."""
        self.set()

    def open(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Nothing is needed inside one process."""
        return contextlib.nullcontext()


@contextlib.asynccontextmanager
async def embedded_worker(runtime: "Runtime") -> AsyncIterator[None]:
    """Run jobs in the background while this is open; at its end they have a while to end, then go back."""
    loop = asyncio.create_task(_work(runtime))
    try:
        yield
    finally:
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


async def _work(runtime: "Runtime") -> None:
    """Wait until no other process here runs the jobs of this database, then run them."""
    async with _alone(lock_of(runtime)):
        executor = Executor(runtime, concurrency=runtime.settings.WORKER_CONCURRENCY, kind=KIND)
        with contextlib.suppress(*AWAY):
            await executor.sweep(of_worker=whereabouts(KIND))  # a former process was killed: this one has the lock
        tasks: set[asyncio.Task[State | None]] = set()
        with contextlib.ExitStack() as stack:
            stack.callback(asyncio.create_task(executor.beat()).cancel)
            try:
                await _claim_and_run(executor, tasks)
            finally:  # the beat goes on meanwhile: it renews the leases, and hears of what is cancelled
                await stop(tasks, RELOAD_GRACE if runtime.settings.DEBUG else runtime.settings.WORKER_GRACE)


async def _claim_and_run(executor: Executor, tasks: set[asyncio.Task[State | None]]) -> None:
    bell = executor.runtime.queue.bell
    assert isinstance(bell, NearBell)
    while True:
        bell.clear()  # before looking: whoever rings from here on is seen by the next look
        room, rows, wait = executor.concurrency - len(tasks), [], POLL_SECONDS
        try:
            if room:
                rows = await executor.claim(room)
            if len(rows) < room:
                wait = min(wait, await executor.idle_seconds())
        except AWAY as error:
            log.warning("the database is away; jobs wait", error=type(error).__name__)
        for row in rows:
            task = asyncio.create_task(executor.run(row))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: bell.set())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.02)):
                await bell.wait()


async def stop(tasks: set[asyncio.Task[State | None]], grace: float) -> None:
    """Let jobs end for `grace` seconds; then cancel them, which gives them back."""
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def lock_of(runtime: "Runtime") -> Path:
    """The file that the process which runs the jobs of this database holds locked."""
    which = hashlib.sha256(repr(runtime.database.url).encode()).hexdigest()  # its repr hides the password
    return runtime.settings.DATA_DIR / f"jobs-{which[:12]}.lock"


@contextlib.asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Wait until no other process holds this file; it ends, and this one takes over."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        while not _locked(file):  # noqa: ASYNC110 - another process cannot set an event here
            await asyncio.sleep(LOCK_SECONDS)
        yield


def _locked(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # on Windows nobody asks for two processes
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
