"""10,000 jobs that do nothing: our durable worker against arq, tuned and as it comes, in the same run.

Run by hand: .venv/bin/python -m tests.bench.jobs [rounds] [jobs]; TEST_DATABASE_URL names a PostgreSQL server.
One worker process each, on the same Redis; rounds alternate, what counts are medians. Then how soon a job begins on
an idle system, what an idle worker costs, and for the record our jobs embedded on SQLite.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import run_worker
from sqlmodel import col

from project.core.jobs import Job
from project.core.jobs.table import ACTIVE
from tests.faults.lab import DONE, SCRIPTS, Lab, lab, until
from tests.faults.processes import Process
from tests.faults.report import Report

ROUNDS, JOBS, LATENCIES, IDLE_SECONDS = 3, 10_000, 40, 20
DRAIN_SECONDS = 300
LOOK_SECONDS = 0.5
CLOCK = "clock"
REDIS = RedisSettings.from_dsn(os.environ.get("REDIS_URL", "redis://"))
TICKS = os.sysconf("SC_CLK_TCK")
ended = 0
began = 0.0


async def nothing(ctx: dict[str, Any], number: int) -> None:
    """Cost nothing; remember when the first one began."""
    global began
    began = began or time.time()


async def clock(ctx: dict[str, Any]) -> None:
    """Say when it began."""
    await ctx["redis"].rpush(CLOCK, time.time())


async def count(ctx: dict[str, Any]) -> None:
    """After the last job: say how long all of them took."""
    global ended
    ended += 1
    if ended == int(os.environ["BENCH_JOBS"]):
        print(time.time() - began, flush=True)


class Default:
    """arq as it comes."""

    functions = [nothing, clock]
    redis_settings = REDIS
    after_job_end = count


class Tuned:
    """arq at its best. It reads one class's own attributes, so nothing is inherited."""

    functions = [nothing, clock]
    redis_settings = REDIS
    after_job_end = count
    poll_delay = 0.02
    max_jobs = 100
    keep_result = 0


class Ours:
    """Our worker: rows in PostgreSQL, the bell in Redis."""

    def __init__(self, site: Lab) -> None:
        self.site = site

    async def fill(self, jobs: int) -> None:
        """Let so many jobs wait."""
        for start in range(0, jobs, 1000):
            await self.site.enqueue("probe.nothing", *({"number": number} for number in range(start, start + 1000)))

    async def start(self) -> Process:
        """The worker."""
        return await self.site.worker()

    async def drained(self, _: Process) -> float:
        """Wait until all are done; returns the seconds from the first claim to the last end."""
        await until(self._all_ended, DRAIN_SECONDS, LOOK_SECONDS)
        async with self.site.runtime.unit_of_work() as db:
            times = sa.select(sa.func.min(Job.started_at), sa.func.max(Job.finished_at)).where(SCRIPTS)
            first, last = (await db.execute(times)).one()
            await db.execute(sa.delete(Job))
        return float((last - first).total_seconds())  # type: ignore[operator]

    async def _all_ended(self) -> bool:
        return not await self.site.any(ACTIVE)

    async def latency(self) -> float:
        """Enqueue one job; returns the seconds until its function began."""
        before = time.time()
        (job_id,) = await self.site.enqueue("probe.clock", {})
        await until(lambda: self.site.any(DONE, col(Job.id) == job_id), 10)
        (job,) = await self.site.jobs(col(Job.id) == job_id)
        return float(job.result) - before


class Arq:
    """Plain arq, with one of the two classes above."""

    def __init__(self, site: Lab, pool: ArqRedis, settings: type) -> None:
        self.site = site
        self.pool = pool
        self.settings = settings

    async def fill(self, jobs: int) -> None:
        """Let so many jobs wait."""
        for number in range(jobs):
            await self.pool.enqueue_job("nothing", number)

    async def start(self) -> Process:
        """The worker."""
        return self.site.start(Process, ["-m", "tests.bench.jobs", self.settings.__name__], {})

    async def drained(self, worker: Process) -> float:
        """Wait until it says how long all took."""
        await until(lambda: worker.log.stat().st_size > 0, DRAIN_SECONDS, LOOK_SECONDS)
        seconds = float(worker.log.read_text())
        await self.pool.flushdb()
        return seconds

    async def latency(self) -> float:
        """Enqueue one job; returns the seconds until its function began."""
        before = time.time()
        await self.pool.enqueue_job("clock")
        told: Any = await self.pool.blpop([CLOCK], timeout=10)  # type: ignore[misc]  # it says it may not be async
        return float(told[1]) - before


@asynccontextmanager
async def at_work(side: Ours | Arq) -> AsyncIterator[Process]:
    """Its worker while this is open."""
    worker = await side.start()
    try:
        yield worker
    finally:
        worker.close()


def cpu_seconds(process: Process) -> float:
    """What the process has computed so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


async def drain(report: Report, sides: dict[str, Ours | Arq], rounds: int, jobs: int) -> None:
    """How fast each worker ends the jobs that wait."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            await side.fill(jobs)
            async with at_work(side) as worker:
                rates[name].append(jobs / await side.drained(worker))
    medians = {name: statistics.median(each) for name, each in rates.items()}
    for name, each in rates.items():
        report.note(f"{name}, jobs/s", f"median {medians[name]:,.0f}, all {[round(one) for one in each]}")
    ours, tuned, default = medians.values()
    report.at_least("ours by tuned arq", 1, ours / tuned)
    report.at_least("ours by arq as it comes", 2, ours / default)


async def idle(report: Report, name: str, side: Ours | Arq) -> tuple[float, float]:
    """How soon a job begins when nothing else is to do (the median), and the CPU that waiting costs, in percent."""
    async with at_work(side) as worker:
        await side.latency()  # it is up
        waits = []
        for _ in range(LATENCIES):
            await asyncio.sleep(random.uniform(0.1, 0.4))
            waits.append(1000 * await side.latency())
        before = cpu_seconds(worker)
        await asyncio.sleep(IDLE_SECONDS)
        cpu = 100 * (cpu_seconds(worker) - before) / IDLE_SECONDS
    p50, p99 = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    report.note(f"{name}: p50, p99 in ms; CPU in %", f"{p50:.1f}, {p99:.1f}; {cpu:.2f}")
    return p50, cpu


async def durability(site: Lab) -> tuple[str, ...]:
    """Whether what PostgreSQL has committed survives a power cut."""
    async with site.runtime.unit_of_work(write=False) as db:
        return tuple([await db.scalar(sa.text(f"SHOW {name}")) for name in ("fsync", "synchronous_commit")])


async def embedded(report: Report, jobs: int) -> None:
    """The same jobs inside runserver, on SQLite."""
    async with lab("sqlite", redis=False, WORKER_CONCURRENCY="100") as site:
        side = Ours(site)
        await side.fill(jobs)
        web = await site.web()
        report.note("embedded on SQLite, jobs/s", round(jobs / await side.drained(web)))


async def main(report: Report, rounds: int, jobs: int) -> None:
    """All of it."""
    async with lab("postgresql", redis=True, WORKER_CONCURRENCY="100", BENCH_JOBS=str(jobs)) as site:
        pool = await create_pool(RedisSettings(port=site.redis.port))
        sides: dict[str, Ours | Arq] = {
            "our worker": Ours(site),
            "arq, tuned": Arq(site, pool, Tuned),
            "arq, as it comes": Arq(site, pool, Default),
        }
        report.begin(f"{jobs:,} jobs that do nothing, {rounds} rounds")
        report.equal("fsync, synchronous_commit of PostgreSQL", ("on", "on"), await durability(site))
        await drain(report, sides, rounds, jobs)
        report.begin(f"From the call of enqueue to the start of the function, {LATENCIES} jobs on an idle system")
        shown = {name: await idle(report, name, side) for name, side in sides.items()}
        p50, cpu = shown["our worker"]
        report.at_most("our p50", 10, p50, "ms")
        report.at_most("our worker's CPU while idle", 1, cpu, "%")
        await pool.aclose()
    report.begin("For the record")
    await embedded(report, jobs)


if __name__ == "__main__":
    if sys.argv[1:2] in (["Default"], ["Tuned"]):
        run_worker(globals()[sys.argv[1]])
    else:
        told = Report()
        given = [int(word) for word in sys.argv[1:]]
        asyncio.run(main(told, *(given + [ROUNDS, JOBS][len(given) :])))
        raise SystemExit(0 if told.good else 1)
