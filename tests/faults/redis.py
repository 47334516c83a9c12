"""Redis killed and emptied, absent at the start, hung: nothing is lost, visitors notice nothing, nobody helps.

Run by hand: .venv/bin/python -m tests.faults.redis [scenario ...]
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from tests.faults.lab import DONE, Lab, keys, lab, until
from tests.faults.report import Report, run

COUNT = 100
OUTAGE_SECONDS = 5
HANG_SECONDS = 20

site = partial(lab, "postgresql", redis=True, WORKER_CONCURRENCY="4")


async def survive(report: Report, outage: Callable[[Lab], Awaitable[None]]) -> None:
    """Two workers and a web process with 100 jobs queued; visitors post while the outage lasts."""
    async with site() as one:
        web = await one.web()
        workers = [await one.worker(), await one.worker()]
        names = keys(COUNT)
        await one.enqueue("probe.mark", *({"key": key, "seconds": 0.5} for key in names))
        await until(lambda: one.any(DONE), 45)
        async with one.visitors(web) as usual:
            await asyncio.sleep(OUTAGE_SECONDS)
        async with one.visitors(web) as visits:
            await outage(one)
        seconds = await one.until_ended(120)
        report.equal("answers", {202}, set(visits.answers))
        report.note("requests meanwhile; p99 before it", f"{len(visits.seconds)}; {usual.p99:.3f} s")
        report.at_most("p99 of the web meanwhile", 1, visits.p99)
        report.at_most("all done after its return", 60, seconds)
        await one.demand_each_once(report, names + usual.accepted + visits.accepted)
        await one.enqueue("probe.mark", {"key": "afterwards"})
        report.at_most("a job enqueued afterwards is done", 1, await one.until_ended(60))
        report.equal("processes still running", [True] * 3, [each.alive for each in (web, *workers)])


async def killed(report: Report) -> None:
    """Redis killed and emptied three times for 5 s, with 100 jobs queued."""

    async def outage(one: Lab) -> None:
        for _ in range(3):
            one.redis.kill()
            await asyncio.sleep(OUTAGE_SECONDS)
            one.redis.start()
            await asyncio.sleep(OUTAGE_SECONDS)

    await survive(report, outage)


async def hung(report: Report) -> None:
    """Redis hung (SIGSTOP) for 20 s, with 100 jobs queued."""

    async def outage(one: Lab) -> None:
        one.redis.halt()
        await asyncio.sleep(HANG_SECONDS)
        one.redis.go_on()

    await survive(report, outage)


async def absent(report: Report) -> None:
    """Redis absent when the web and the worker start; 100 jobs are accepted, then Redis comes."""
    async with site(started=False) as one:
        web = await one.web()
        report.at_most("the web answers after", 5, web.seconds)
        worker = await one.worker()
        async with one.visitors(web) as visits:
            await until(lambda: len(visits.accepted) >= COUNT, 60)
        report.equal("answers", {202}, set(visits.answers))
        report.at_most("p99 of the web meanwhile", 1, visits.p99)
        await asyncio.sleep(OUTAGE_SECONDS)
        report.note("done without Redis", await one.count(DONE))
        one.redis.start()
        report.at_most("all done after Redis came", 15, await one.until_ended(120))
        await one.demand_each_once(report, visits.accepted)
        report.equal("processes still running", [True] * 2, [web.alive, worker.alive])


if __name__ == "__main__":
    run(killed, hung, absent)
