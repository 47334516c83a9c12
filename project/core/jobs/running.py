"""One job while it runs: what its function is given, and how its outcome becomes the row's."""

import asyncio
import importlib
import multiprocessing
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pydantic_core

from project.core.db.session import AsyncSession
from project.core.jobs import claiming
from project.core.jobs.claiming import Claimed
from project.core.jobs.declaring import GiveUp, JobType
from project.core.jobs.table import CHANGED, State, topic
from project.core.live.bus import publish
from project.core.log import redact
from project.core.pool import ThreadPool

if TYPE_CHECKING:
    from project.core.runtime import Runtime

PROGRESS_SECONDS = 0.5
ERROR_ROOM = 2000  # characters
RESULT_ROOM = 1_000_000  # bytes of JSON
LARGEST = 2**31 - 1  # what an integer column holds


class LostClaim(Exception):
    """The job is no longer this worker's: its lease ran out, and another one may be running it."""


class Running:
    """A job's own view of itself, the first argument of its function.

    Attributes:
        runtime: what the process has opened: `running.runtime.unit_of_work()`, `.conf(…)`.
        id: the job's id, the same at every try: the key for effects outside the database.
        tries: how often it was tried before.
    """

    def __init__(self, runtime: "Runtime", row: Claimed) -> None:
        self.runtime = runtime
        self.id: UUID = row.id
        self.owner = row.owner
        self.tries = row.failures
        self.row = row
        self.ended = False
        self.unsaved: dict[str, Any] = {}
        self._saved_at = -PROGRESS_SECONDS

    @asynccontextmanager
    async def unit_of_work(self) -> AsyncIterator[AsyncSession]:
        """The job's last transaction: its effect and its `done` are one commit, so the effect happens once.

        Raises LostClaim, and writes nothing, when another worker has taken the job over.
        """
        async with self.runtime.unit_of_work() as db:
            yield db
            if not await claiming.end(db, [self.row], State.DONE, error="", **self.unsaved):
                raise LostClaim
        self.ended, self.unsaved = True, {}

    @asynccontextmanager
    async def step(self) -> AsyncIterator[AsyncSession]:
        """A transaction on the way, for work that is done piece by piece; raises LostClaim like `unit_of_work`."""
        async with self.runtime.unit_of_work() as db:
            yield db
            if not await claiming.hold(db, self.row):
                raise LostClaim

    async def progress(self, done: int, total: int, note: str = "") -> None:
        """Say how far it is: written to the row and shown live, twice a second at most."""
        self.unsaved = {"done": _fitting(done), "total": _fitting(total), "note": storable(note)[:200]}
        if time.monotonic() - self._saved_at < PROGRESS_SECONDS:
            return
        self._saved_at = time.monotonic()
        async with self.runtime.unit_of_work() as db:
            if not await claiming.hold(db, self.row, **self.unsaved):
                raise LostClaim
            await publish(db, topic(self.id), CHANGED)


async def call(running: Running, kind: JobType) -> Any:
    """Run the function once, where it wants to run, within its timeout; returns its result in JSON's types."""
    arguments = kind.read(running.row.arguments)
    room = nullcontext() if kind.runs_in == "loop" else running.runtime.beside
    async with room, asyncio.timeout(kind.timeout):
        match kind.runs_in:
            case "loop":
                result = await kind.function(running, **arguments)
            case "thread":
                result = await running.runtime.threads.run(kind.function, **arguments)
            case "process":
                result = await _in_process(running.runtime.threads, kind.function, arguments)
    return None if result is None else _as_kept(result)


def _as_kept(result: Any) -> Any:
    """The result in JSON's types: what is no Unicode or has no end fails here and not in the table; no NaN."""
    encoded = pydantic_core.to_json(result, inf_nan_mode="null")
    if len(encoded) > RESULT_ROOM:
        raise ValueError(f"a result of {len(encoded):,} bytes is too large to keep: write it to a table or a file")
    return pydantic_core.from_json(encoded)


async def _in_process(threads: ThreadPool, function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """In a process of its own, which is killed when the job is cancelled or takes too long."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_there, args=(theirs, function.__module__, function.__name__, arguments))
    try:
        await threads.run(process.start)
        theirs.close()
        good, outcome = await threads.run(ours.recv)
    except EOFError:
        raise RuntimeError(f"the process of {function.__name__} died") from None
    finally:
        process.kill()
        ours.close()
    if not good:
        raise RuntimeError(outcome)
    return outcome


def _there(answer: Connection, module: str, name: str, arguments: dict[str, Any]) -> None:
    try:
        kind: JobType = getattr(importlib.import_module(module), name)
        answer.send((True, pydantic_core.to_jsonable_python(kind.function(**arguments))))
    except Exception as error:
        answer.send((False, describe(error)))


def describe(error: BaseException) -> str:
    """The error for the row: what it is, where in the code it happened, its words; secrets masked."""
    last = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" in {frame.filename.rpartition('/')[2]}, line {frame.lineno}" for frame in last)
    try:
        words = str(error)
    except Exception:
        words = "it cannot say why"
    text = words if isinstance(error, GiveUp) else f"{type(error).__name__}{where}: {words}"
    return storable(redact(text))[:ERROR_ROOM]


def storable(text: str) -> str:
    """The text as every database takes it: without NUL, and with a mark for each half of a character."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _fitting(count: int) -> int:
    return min(max(count, 0), LARGEST)
