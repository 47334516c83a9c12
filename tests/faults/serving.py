"""The processes of `serve` killed, replaced and stopped under load: nothing acknowledged is lost, nobody is refused.

Run by hand: .venv/bin/python -m tests.faults.serving [scenario ...]. PostgreSQL and Redis are the script's own.
"""

import asyncio
import os
import random
import time
from functools import partial
from signal import SIGHUP, SIGKILL, SIGTERM

from tests.faults.cluster import strained
from tests.faults.lab import until
from tests.faults.ledger import VISITORS, Visit, Visits, getting, posting, visitors
from tests.faults.processes import Served, exists
from tests.faults.report import Report, run

ENTRIES, LONG = "/api/v1/strained/entries", "/api/v1/strained/long"
KILLS, EVERY = 5, 3.0
ROUNDS, LONG_SECONDS = 3, 10.0
FRESH = 5  # visitors who connect each time
SHARE = 0.002  # of all requests may break where connections end


async def killed(report: Report) -> None:
    """Web processes killed (-9) five times under writes."""
    async with strained() as (_, one):
        site, worker = await one.serve(), await one.worker()
        cookie = await one.cookie()
        parent, back = site.pid, []
        async with visitors(site.url, posting(ENTRIES), cookie=cookie) as visits:
            await asyncio.sleep(EVERY)
            for _ in range(KILLS):
                starts = site.starts
                os.kill(random.choice(site.workers), SIGKILL)
                back.append(await until(partial(site.has_started, starts + 1), 60))
                await asyncio.sleep(max(0.0, EVERY - back[-1]))
        await one.until_ended(60)
        report.note("answers", visits.told)
        report.equal("answers other than 201", 0, len(visits.all) - len(visits.only(201)) - len(visits.broken))
        report.at_most("requests broken, of those in flight", KILLS * VISITORS, len(visits.broken), "")
        report.at_most("longest until a new process answers", 5, max(back))
        report.note("what replaces it", "the parent that serve is; a single process has none")
        report.equal("parent and worker still running", [parent, True, True], [site.pid, site.alive, worker.alive])
        await one.demand_entries(report, visits)
        await one.demand_each_once(report, visits.accepted)


async def rolling(report: Report) -> None:
    """SIGHUP three times under load, kept connections and new ones."""
    async with strained(DRAIN_SECONDS="1") as (_, one):
        site, cookie = await one.serve(), await one.cookie()
        await one.worker()
        longs, took = [], []
        async with (
            visitors(site.url, posting(ENTRIES), cookie=cookie, pause=0.2) as kept,
            visitors(site.url, getting("/health/live"), count=FRESH, pause=0.1, fresh=True) as fresh,
        ):
            await asyncio.sleep(1)
            for number in range(ROUNDS):
                long = asyncio.create_task(_long(site, LONG_SECONDS if not number else 1.0))
                await asyncio.sleep(0.5)
                took.append(await _replaced(site))
                longs.append((await long).answer)
            await asyncio.sleep(1)
        await one.until_ended(60)
        report.note("a round took", ", ".join(f"{each:.1f} s" for each in took))
        report.note("answers on kept connections; on new ones", f"{kept.told}; {fresh.told}")
        report.equal("requests under way when it began that ended well", [200] * ROUNDS, longs)
        report.note("what was away", site.away)
        _demand_unbroken(report, kept, fresh)
        await one.demand_entries(report, kept)


async def _replaced(site: Served) -> float:
    """Send SIGHUP; returns how long it took until both processes were others."""
    before = set(site.workers)
    site.signal(SIGHUP)
    return await until(lambda: not before & set(site.workers) and len(site.workers) == 2, 120)


async def _long(site: Served, seconds: float) -> Visit:
    async with visitors(site.url, getting(LONG, seconds=seconds), count=1) as visits:
        await asyncio.sleep(seconds / 2)
    return visits.all[0]


def _demand_unbroken(report: Report, kept: Visits, fresh: Visits) -> None:
    both = [*kept.all, *fresh.all]
    report.equal("5xx", 0, sum(isinstance(each.answer, int) and each.answer >= 500 for each in both))
    report.equal("refused connections", 0, sum(each.answer in ("ConnectError", "ConnectTimeout") for each in both))
    broken = [each for each in both if isinstance(each.answer, str)]
    report.at_most("broken connections", SHARE * 100, 100 * len(broken) / len(both), "%")
    report.at_most("longest answer", 5, max(each.seconds for each in both))


async def hasty(report: Report) -> None:
    """SIGTERM in the middle of a SIGHUP: it ends, with 0, as if nothing else had been asked."""
    async with strained() as (_, one):
        site = await one.serve("--grace", "5")
        site.signal(SIGHUP)
        await until(lambda: len(site.workers) == 3, 30)
        pids = site.workers
        started = time.perf_counter()
        code = await site.end(SIGTERM)
        report.equal("exit code", 0, code)
        report.at_most("it ended after", 5 + 2, time.perf_counter() - started)
        report.equal("processes left", [], [each for each in pids if exists(each)])


if __name__ == "__main__":
    run(killed, rolling, hasty)
