"""Jobs that do what a queue has to survive: they fail, hang, block, compute, die."""

import asyncio
import os
import signal
import time
from uuid import uuid4

import sqlalchemy as sa
from sqlmodel import col, select

from project.core.jobs import GiveUp, Running, cron, job
from tests.core.probe.models import Ledger

TICKS = "ticks"


async def _enter(running: Running, key: str) -> None:
    async with running.unit_of_work() as db:
        db.add(Ledger(key=key))


@job()
async def write(running: Running, key: str, seconds: float = 0) -> None:
    """Write a row that nobody may write twice."""
    await asyncio.sleep(seconds)
    await _enter(running, key)


@job()
async def mark(running: Running, key: str, seconds: float = 0) -> None:
    """Write a row at each time it takes effect, so that a second effect would be seen."""
    await asyncio.sleep(seconds)
    await _enter(running, f"{key} {uuid4().hex}")


@job(max_tries=3, backoff=2)
async def boom(running: Running, key: str, times: int) -> None:
    """Fail so many times, then write."""
    if running.tries < times:
        raise ValueError(f"boom, password=hunter2 {running.tries}")
    await _enter(running, key)


@job()
async def hopeless(running: Running) -> None:
    """Know that no try will help."""
    raise GiveUp("The address does not exist.")


UGLY: dict[str, str | float] = {"nul": "a\0b", "half": "a\ud800b", "nan": float("nan")}


@job(max_tries=1)
async def leave(running: Running, what: str, how: str) -> str | float:
    """Leave what databases do not take, or not all of them."""
    text = str(UGLY[what])
    await running.progress(2**40, 2**70, text)
    if how == "error":
        raise ValueError(text)
    return UGLY[what]


@job(max_tries=2)
async def lean(running: Running) -> None:
    """Wait for something that is cancelled."""
    raise asyncio.CancelledError


@job(timeout=0.2, max_tries=2)
async def hang(running: Running) -> None:
    """Never end."""
    await asyncio.Event().wait()


@job()
async def block(running: Running, key: str, seconds: float) -> None:
    """Hold the event loop, which no job should."""
    time.sleep(seconds)  # noqa: ASYNC251
    await _enter(running, key)


@job()
async def die(running: Running) -> None:
    """Take the whole worker along."""
    os.kill(os.getpid(), signal.SIGKILL)


@job()
async def nothing(running: Running, number: int = 0) -> None:
    """Cost nothing."""


@job()
async def clock(running: Running) -> float:
    """Say when it began."""
    return time.time()


@job(unique=True)
async def once(running: Running, number: int) -> None:
    """Wait or run only once at a time."""


@job(queue="slow")
async def slowly(running: Running) -> None:
    """Be of a queue of its own."""


@job()
async def count(running: Running, total: int) -> None:
    """Say how far it is."""
    for done in range(1, total + 1):
        await running.progress(done, total, f"number {done}")


@job(runs_in="thread")
def sleeps(seconds: float) -> str:
    """Block a thread."""
    time.sleep(seconds)
    return "slept"


class Silent(Exception):
    """Has no words."""

    def __str__(self) -> str:
        raise RuntimeError


@job(max_tries=1)
async def strange(running: Running, how: str) -> str:
    """End in a way that is hard to write down."""
    if how == "silent":
        raise Silent
    return "x" * 2_000_000


@job(runs_in="process", timeout=30)
def squares(numbers: list[int]) -> list[int]:
    """Compute."""
    return [number * number for number in numbers]


@job(runs_in="process", timeout=1, max_tries=1)
def spins() -> None:
    """Compute for ever."""
    while True:
        pass


@cron(second=set(range(0, 60, 2)))
async def often(running: Running) -> None:
    """Every two seconds."""
    async with running.unit_of_work() as db:
        number = (await db.exec(select(sa.func.count()).where(col(Ledger.key).startswith(TICKS)))).one()
        db.add(Ledger(key=f"{TICKS} {number}"))


ALL = [write, mark, boom, hopeless, leave, lean, hang, block, die, nothing, clock, once, slowly, count, sleeps]
ALL += [squares, strange, spins]
