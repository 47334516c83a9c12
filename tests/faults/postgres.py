"""PostgreSQL restarted, crashed and hung under writes: 503 meanwhile and nothing else, and afterwards nobody helps.

Run by hand: .venv/bin/python -m tests.faults.postgres [scenario ...]. PostgreSQL and Redis are the script's own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from signal import SIGINT, SIGQUIT, Signals

from tests.faults.cluster import Cluster, strained
from tests.faults.lab import Lab
from tests.faults.ledger import Visits, getting, posting, visitors
from tests.faults.processes import Served
from tests.faults.report import Report, run

ENTRIES = "/api/v1/strained/entries"
OUTAGE_SECONDS = 2.0
HANG_SECONDS = 20.0
USUAL_SECONDS = 3.0
READERS = 5
Outage = Callable[[Cluster], Awaitable[tuple[float, float]]]  # when it began, and when PostgreSQL accepted again


async def survive(report: Report, outage: Outage, *, deadline: float, back: float, after: float) -> None:
    """Two web processes and a worker under writes, reads of pages and of health, before, during and after an outage.

    Args:
        deadline: seconds within which each request is answered, whatever happens.
        back: seconds until the first success after PostgreSQL accepts again.
        after: seconds after that in which a request may still be refused.
    """
    async with strained() as (server, one):
        site, worker, cookie = await one.serve(), await one.worker(), await one.cookie()
        pids = site.workers
        async with (
            visitors(site.url, posting(ENTRIES), cookie=cookie) as writers,
            visitors(site.url, getting("/accounts/sessions"), cookie=cookie, count=READERS) as pages,
            visitors(site.url, getting("/health/live"), count=READERS, pause=0.1) as live,
        ):
            await asyncio.sleep(USUAL_SECONDS)
            began, accepted = await outage(server)
            await asyncio.sleep(USUAL_SECONDS + after)
        ended = await one.until_ended(60)
        report.note("answers to writers", writers.told)
        report.note("answers to readers of a page", pages.told)
        report.note("reasons", site.away)
        both = Visits()
        both.all = writers.all + pages.all
        strange = {each.answer for each in both.all} - {200, 201, 503}
        report.equal("answers other than success and 503", set(), strange)
        report.equal("503 without Retry-After", 0, sum(not each.retry_after for each in both.only(503)))
        early = sum(each.ended < began for each in both.only(503))
        late = sum(each.sent > accepted + after for each in both.only(503))
        report.equal(f"503 before it, and {after:g} s after it", (0, 0), (early, late))
        report.at_most("longest answer to a writer", deadline, max(writers.seconds))
        report.at_most("longest answer to a reader", deadline, max(pages.seconds))
        report.at_most("first write after it accepts", back, writers.first_good(accepted))
        report.at_most("first page after it accepts", back, pages.first_good(accepted))
        report.equal("answers of /health/live", {200}, set(live.answers))
        report.at_most("p99 of /health/live", 0.1, live.p99)
        report.equal("the same processes", (pids, True), (site.workers, worker.alive))
        report.equal("tracebacks", {}, site.bugs | worker.bugs)
        report.note("jobs done after the last entry", f"{ended:.1f} s")
        await one.demand_entries(report, writers)
        await one.demand_each_once(report, writers.accepted)
        await _demand_rested(report, one, site, cookie, server)


async def _demand_rested(report: Report, one: Lab, site: Served, cookie: str, server: Cluster) -> None:
    """Restart it once more while nobody asks: who comes then notices nothing."""
    await server.stop()
    await server.start()
    async with visitors(site.url, posting(ENTRIES), cookie=cookie) as visits:
        await asyncio.sleep(USUAL_SECONDS)
    report.equal("answers after a restart that nobody saw", {201}, set(visits.answers))
    await one.until_ended(60)


def _stopped(how: Signals) -> Outage:
    async def outage(server: Cluster) -> tuple[float, float]:
        began = time.perf_counter()
        await server.stop(how)
        await asyncio.sleep(OUTAGE_SECONDS)
        return began, await server.start()

    return outage


async def restarted(report: Report) -> None:
    """PostgreSQL stopped (fast) for 2 s and started, under writes."""
    await survive(report, _stopped(SIGINT), deadline=5, back=2, after=2)


async def crashed(report: Report) -> None:
    """PostgreSQL stopped at once (immediate) for 2 s and started, under writes."""
    await survive(report, _stopped(SIGQUIT), deadline=5, back=2, after=2)


async def hung(report: Report) -> None:
    """All processes of PostgreSQL hang (SIGSTOP) for 20 s, under writes."""

    async def outage(server: Cluster) -> tuple[float, float]:
        began = time.perf_counter()
        server.halt()
        await asyncio.sleep(HANG_SECONDS)
        server.go_on()
        return began, time.perf_counter()

    await survive(report, outage, deadline=5, back=2, after=5)


if __name__ == "__main__":
    run(restarted, crashed, hung)
