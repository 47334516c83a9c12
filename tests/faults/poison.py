"""Jobs that fail, hang, kill their worker or hold its loop: they end with the reason, and the others get done.

Run by hand: .venv/bin/python -m tests.faults.poison [scenario ...]
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from sqlmodel import col

from project.core.jobs import Job, State
from project.core.jobs.table import ACTIVE
from tests.faults.lab import DEAD, DONE, RUNNING, Lab, keys, lab, until
from tests.faults.processes import Process
from tests.faults.report import Report, run

GOOD = 100
CONCURRENCY = 20
BLOCK_SECONDS = 45

site = partial(lab, "postgresql", redis=True, WORKER_CONCURRENCY=str(CONCURRENCY))


async def raises(report: Report) -> None:
    """A job that raises twice is done at its third try; one that always raises is a dead letter."""
    async with site() as one:
        await one.worker()
        ((twice,), (always,)) = [
            await one.enqueue("probe.boom", {"key": key, "times": times})
            for key, times in (("twice", 2), ("always", 9))
        ]
        gaps: dict[int, float] = {}

        async def ended() -> bool:
            (job,) = await one.jobs(col(Job.id) == twice)
            if job.state == State.QUEUED and job.started_at:
                gaps[job.failures] = (job.due_at - job.started_at).total_seconds()
            return not await one.any(ACTIVE)

        await until(ended, 60)
        good, bad = await one.jobs(col(Job.id).in_([twice, always]))
        report.equal("raises twice: state, failures", (State.DONE, 2), (good.state, good.failures))
        report.at_least("second gap by the first", 1.2, gaps[2] / gaps[1])
        report.note("gaps, s", [round(gap, 2) for gap in gaps.values()])
        report.equal("always raises: state, failures", (State.DEAD, 3), (bad.state, bad.failures))
        report.note("its reason", bad.error)


async def hangs(report: Report) -> None:
    """As many jobs as fit that never end (timeout 0.2 s, two tries), and a good one behind them."""
    async with site() as one:
        await one.worker()
        await one.enqueue("probe.hang", *[{}] * CONCURRENCY)
        await until(lambda: one.any(RUNNING), 45)
        await one.enqueue("probe.mark", {"key": "good"})
        report.at_most("the good one is done", 2.2, await until(lambda: one.any(DONE), 60))
        await one.until_ended(60)
        dead = await one.jobs(DEAD)
        report.equal("dead letters after two tries", CONCURRENCY, sum(job.failures == 2 for job in dead))
        spans = [
            (job.finished_at - job.started_at).total_seconds() for job in dead if job.finished_at and job.started_at
        ]
        report.at_most("longest last try", 2.2, max(spans))
        report.equal("reasons", {"TimeoutError"}, {job.error.split(" ")[0] for job in dead})


@contextlib.asynccontextmanager
async def supervised(start: Callable[[], Awaitable[Process]]) -> AsyncIterator[list[int]]:
    """Start a process again whenever it has died; gives its exit codes."""
    codes: list[int] = []

    async def watch() -> None:
        while True:
            process = await start()
            codes.append(await asyncio.to_thread(process.popen.wait))

    watching = asyncio.create_task(watch())
    yield codes
    watching.cancel()


async def die(report: Report, one: Lab, start: Callable[[], Awaitable[Process]], seconds: float) -> None:
    """One that kills its worker among 100 good ones, half of them before it."""
    names = keys(GOOD)
    good = [{"key": key, "seconds": seconds} for key in names]
    await one.enqueue("probe.mark", *good[: GOOD // 2])
    await one.enqueue("probe.die", {})
    await one.enqueue("probe.mark", *good[GOOD // 2 :])
    async with supervised(start) as codes:
        report.note("all ended after, s", round(await one.until_ended(300)))
    report.at_most("deaths of the worker", 3, len(codes), "times")
    report.equal("good ones done", GOOD, await one.count(DONE))
    (dead,) = await one.jobs(col(Job.name) == "probe.die")
    report.equal("the poison: state, deaths", (State.DEAD, 3), (dead.state, dead.deaths))
    report.note("its reason", dead.error)
    report.note("most deaths of a good one", max(job.deaths for job in await one.jobs(DONE)))
    seen = await one.effects()
    report.equal("effects of the good ones, once each", (GOOD, GOOD), (len(seen), seen.total()))


async def dies(report: Report) -> None:
    """One job kills its worker, among 100 good ones of 0.5 s."""
    async with site() as one:
        await die(report, one, one.worker, 0.5)


async def dies_slowly(report: Report) -> None:
    """One job kills its worker, among 100 good ones of 5 s, which die beside it."""
    async with site() as one:
        await die(report, one, one.worker, 5)


async def dies_embedded(report: Report) -> None:
    """One job kills runserver on SQLite, among 100 good ones of 0.5 s."""
    async with lab("sqlite", redis=False, WORKER_CONCURRENCY=str(CONCURRENCY)) as one:
        await die(report, one, one.web, 0.5)


async def blocks(report: Report) -> None:
    """A job holds the loop of one of two workers for 45 s, longer than a lease."""
    async with site() as one:
        workers = [await one.worker(), await one.worker()]
        await one.enqueue("probe.block", {"key": "blocking effect", "seconds": BLOCK_SECONDS})
        await until(lambda: one.any(RUNNING), 45)
        await one.enqueue("probe.mark", {"key": "good"})
        report.note("a good one behind it is done after, s", round(await until(lambda: one.any(DONE), 60), 1))
        report.note("all ended after, s", round(await one.until_ended(300)))
        seen = await one.effects()
        (job,) = await one.jobs(col(Job.name) == "probe.block")
        report.at_most("effects of the one that blocks", 1, seen["blocking"], "times")
        report.note("it ended as; claims; deaths", (job.state, job.attempt, job.deaths))
        report.equal("effects of the good one", 1, seen["good"])
        report.equal("workers still running", [True] * 2, [each.alive for each in workers])


if __name__ == "__main__":
    run(raises, hangs, dies, dies_slowly, dies_embedded, blocks)
