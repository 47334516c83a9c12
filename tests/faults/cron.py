"""A cron task of every two seconds on four workers: each due time is a job once.

Run by hand: .venv/bin/python -m tests.faults.cron
"""

import asyncio
from collections import Counter
from signal import SIGKILL

from sqlmodel import col

from project.core.jobs import Job
from tests.faults.lab import APPS, DONE, lab, until
from tests.faults.report import Report, run

EVERY = 2
SECONDS = 120


async def cron(report: Report) -> None:
    """Four workers, 120 s, one of them killed and Redis restarted once."""
    ticks = col(Job.name) == "ticking.often"
    async with lab("postgresql", redis=True, INSTALLED_APPS=f"{APPS},tests.faults.ticking") as one:
        workers = [await one.worker() for _ in range(4)]
        await until(lambda: one.any(ticks), 60)
        await asyncio.sleep(SECONDS / 3)
        await workers[0].end(SIGKILL)
        await asyncio.sleep(SECONDS / 3)
        one.redis.kill()
        await asyncio.sleep(EVERY)
        one.redis.start()
        await asyncio.sleep(SECONDS / 3)
        seen = Counter(int(job.created_at.timestamp() // EVERY) for job in await one.jobs(ticks))
        await until(lambda: one.any(ticks, DONE), 10)
        due = max(seen) - min(seen) + 1
        report.at_least("due times seen", SECONDS // EVERY, due)
        report.equal("due times without a job", 0, due - len(seen))
        report.equal("jobs too many", 0, seen.total() - len(seen))
        report.equal("workers still running", [False, True, True, True], [each.alive for each in workers])
        late = [job.created_at.timestamp() % EVERY for job in await one.jobs(ticks)]
        report.at_most("latest", EVERY, max(late))
        await asyncio.sleep(EVERY)
        report.note("jobs done of", f"{await one.count(ticks, DONE)} of {await one.count(ticks)}")


if __name__ == "__main__":
    run(cron)
