"""20,000 jobs wait; whoever comes then with one job is not behind them all.

Run by hand: .venv/bin/python -m tests.faults.flood
"""

from sqlmodel import col

from project.core.db.models import uuid7
from project.core.errors import TooMany
from project.core.jobs import Job
from project.core.jobs.table import WAITING
from tests.faults.lab import DONE, keys, lab, until
from tests.faults.report import Report, run

OWNED, NOBODYS, BATCH = 900, 19_000, 1000
ROOM = 1000


async def flood(report: Report) -> None:
    """900 jobs of one owner and 19,000 of nobody wait; then one of another owner comes."""
    greedy, modest = uuid7(), uuid7()
    async with lab("postgresql", redis=True) as one:
        arguments = [{"key": key, "seconds": 0.1} for key in keys(OWNED + NOBODYS)]
        await one.enqueue("probe.mark", *arguments[:OWNED], owner=greedy)
        for start in range(OWNED, OWNED + NOBODYS, BATCH):
            await one.enqueue("probe.mark", *arguments[start : start + BATCH])
        await one.worker()
        await until(lambda: one.any(DONE), 45)
        (job_id,) = await one.enqueue("probe.clock", {}, owner=modest)
        seconds = await until(lambda: one.any(DONE, col(Job.id) == job_id), 60)
        report.at_most("the other owner's job is done", 5, seconds)
        report.note("jobs that wait then", await one.count(WAITING))
        refused = 0
        try:
            for _ in range(ROOM + 1):
                await one.enqueue("probe.nothing", {}, owner=greedy)
        except TooMany:
            refused = 1
        report.equal("the greedy one's next jobs are refused", 1, refused)


if __name__ == "__main__":
    run(flood)
