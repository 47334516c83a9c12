"""One process on SQLite that runs its jobs itself: killed, started twice, stopped again and again.

Run by hand: .venv/bin/python -m tests.faults.embedded [scenario ...]
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from signal import SIGKILL, SIGTERM

import httpx2

from tests.faults.lab import DONE, RUNNING, Lab, keys, lab, until
from tests.faults.processes import Process, Web
from tests.faults.report import Report, run

COUNT = 100

site = partial(lab, "sqlite", redis=False, WORKER_CONCURRENCY="4")


async def accept(web: Web) -> list[str]:
    """Post 100 jobs; returns the keys that were accepted."""
    names = keys(COUNT)
    async with httpx2.AsyncClient(base_url=web.url, timeout=30, trust_env=False) as client:
        answers = [await client.post("/api/v1/probe/jobs", params={"key": key, "seconds": 0.2}) for key in names]
    return [key for key, answer in zip(names, answers, strict=True) if answer.status_code == 202]


async def until_done(site: Lab, share: float) -> None:
    """Wait until this share of the 100 is done."""

    async def enough() -> bool:
        return await site.count(DONE) >= share * COUNT

    await until(enough, 60)


async def killed(report: Report) -> None:
    """runserver on SQLite, killed (-9) at 30 of 100 accepted jobs, started again."""
    async with site() as one:
        web = await one.web()
        accepted = await accept(web)
        await until_done(one, 0.3)
        await web.end(SIGKILL)
        report.note("done when it was killed", await one.count(DONE))
        await one.web()
        seconds = await one.until_ended(120)
        report.equal("accepted", COUNT, len(accepted))
        report.equal("done", COUNT, await one.count(DONE))
        await one.demand_each_once(report, accepted)
        report.at_most("all done after the restart", 60, seconds)


async def doubled(report: Report) -> None:
    """A second runserver with the same DATA_DIR runs no jobs while the first one lives, and all when it is killed."""
    async with site() as one:
        web = await one.web()
        second = await one.web()
        accepted = await accept(second)
        seen: set[str] = set()
        watching = asyncio.create_task(watch(one, seen))
        await until_done(one, 0.5)
        report.equal("processes that ran jobs beside the first", set(), seen - {str(web.pid)})
        await web.end(SIGKILL)
        await one.until_ended(120)
        watching.cancel()
        report.equal("who ran them after that", {str(second.pid)}, seen - {str(web.pid)})
        await one.demand_each_once(report, accepted)


async def watch(one: Lab, seen: set[str]) -> None:
    """Collect the ids of the processes that hold jobs."""
    while True:
        seen |= {job.worker.split(":")[2] for job in await one.jobs(RUNNING)}
        await asyncio.sleep(0.1)


async def stop(report: Report, one: Lab, start: Callable[[], Awaitable[Process]], times: int) -> None:
    """Stop the process during one job of 3 s and start another, so many times; then look at the job."""
    process = await start()
    await one.enqueue("probe.mark", {"key": "slow", "seconds": 3})
    codes = []
    for _ in range(times):
        await until(lambda: one.any(RUNNING), 45)
        await asyncio.sleep(0.3)
        codes.append(await process.end(SIGTERM))
        process = await start()
    await one.until_ended(60)
    (job,) = await one.jobs()
    report.note("exit codes", codes)
    report.equal("tries used up, deaths", (0, 0), (job.failures, job.deaths))
    report.equal("times it was begun", times + 1 if times > 1 else 1, job.attempt)
    await one.demand_each_once(report, ["slow"])


async def stopped(report: Report) -> None:
    """runserver stopped (SIGTERM) six times during one job of 3 s, which is given 0.5 s each time."""
    async with site(WORKER_GRACE="0.5") as one:
        await stop(report, one, one.web, 6)


async def patient(report: Report) -> None:
    """runserver stopped (SIGTERM) once during one job of 3 s, which is given 15 s."""
    async with site(WORKER_GRACE="15") as one:
        await stop(report, one, one.web, 1)


async def worker_stopped(report: Report) -> None:
    """The worker stopped (SIGTERM) six times during one job of 3 s, which is given 0.5 s each time."""
    async with lab("postgresql", redis=True, WORKER_GRACE="0.5") as one:
        await stop(report, one, one.worker, 6)


async def worker_patient(report: Report) -> None:
    """The worker stopped (SIGTERM) once during one job of 3 s, which is given 15 s."""
    async with lab("postgresql", redis=True, WORKER_GRACE="15") as one:
        await stop(report, one, one.worker, 1)


if __name__ == "__main__":
    run(killed, doubled, stopped, patient, worker_stopped, worker_patient)
