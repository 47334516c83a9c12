"""A batch by the whole path: POST, job, rows in PostgreSQL, a watcher of its page; against the engine alone.

Run by hand: .venv/bin/python -m tests.bench.batches [rounds] [urls] [large batches]; TEST_DATABASE_URL names a server.
A web process, a worker and an origin that answers 2 kB after 20 ms; rounds alternate, what counts are medians. Then
batches of 10,000: the memory and the loop's lag of both processes, and how soon the page answers meanwhile.
"""

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col

from apps.accounts.testing import add_user, sign_in_as
from apps.fetcher.models import Batch, Fetch
from project.core.jobs import Job
from tests.bench.fetching import CONCURRENCY, engine, origin
from tests.bench.jobs import durability
from tests.bench.lagging.app import NOTED, WAKE_SECONDS, lags
from tests.faults.lab import Lab, lab
from tests.faults.processes import Process, Web
from tests.faults.report import Report

ROUNDS, URLS, LARGE_ROUNDS, LARGE, SMALL = 5, 2_000, 3, 10_000, 200
APPS = "project,apps.accounts,apps.fetcher,tests.bench.lagging"
BATCH_SECONDS = 120
LOOK_SECONDS = 0.1


@dataclass
class Watched:
    """What was seen of one batch; moments are of the monotonic clock."""

    posted: float
    accepted: float = 0
    ended: float = 0
    row: Any = None
    frames: int = 0
    answers: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """From the POST to the last frame of the stream."""
        return self.ended - self.posted


@contextlib.asynccontextmanager
async def visitor(site: Lab, web: Web) -> AsyncIterator[httpx2.AsyncClient]:
    """Somebody new who is signed in."""
    app = FastAPI()
    app.state.runtime = site.runtime
    async with httpx2.AsyncClient(base_url=web.url, timeout=60, trust_env=False) as client:
        await sign_in_as(client, app, await add_user(app, f"{time.monotonic_ns()}@example.com"))
        yield client


async def whole_path(site: Lab, web: Web, urls: list[str], *, look: bool = False) -> Watched:
    """Submit the URLs, follow the page's stream to its end, perhaps load the page meanwhile, and remove the rows."""
    async with visitor(site, web) as client, asyncio.timeout(BATCH_SECONDS):
        seen = Watched(time.monotonic())
        answer = await client.post("/api/v1/fetcher/batches", json={"urls": urls})
        answer.raise_for_status()
        seen.accepted, page = time.monotonic(), f"/fetcher/batches/{answer.json()['id']}"
        looking = asyncio.create_task(_look(client, page, seen)) if look else None
        async with client.stream("GET", f"{page}/events") as stream:
            async for line in stream.aiter_lines():
                seen.frames += line.startswith("data:")
                if line == "event: end":
                    break
        seen.ended = time.monotonic()
        if looking:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        seen.row = (await client.get(f"/api/v1/fetcher/batches/{answer.json()['id']}")).json()
    if (seen.row["status"], seen.row["done"], seen.row["failed"]) != ("done", len(urls), 0):
        raise SystemExit(f"the batch lost some: {seen.row}")
    await _demand_rows(site, len(urls))
    return seen


async def _look(client: httpx2.AsyncClient, page: str, seen: Watched) -> None:
    while True:
        started = time.monotonic()
        (await client.get(page)).raise_for_status()
        seen.answers.append(time.monotonic() - started)
        await asyncio.sleep(LOOK_SECONDS)


async def _demand_rows(site: Lab, amount: int) -> None:
    """Each URL has its row with a good answer; then the table is emptied, so that rounds are alike."""
    good = sa.select(sa.func.count()).where(col(Fetch.status_code) == 200, col(Fetch.title) == "A page")
    async with site.runtime.unit_of_work() as db:
        if (rows := await db.scalar(good)) != amount:
            raise SystemExit(f"{rows} good rows for {amount} URLs")
        await db.execute(sa.delete(Batch))


async def job_seconds(site: Lab) -> float:
    """How long the job of the newest batch ran."""
    async with site.runtime.unit_of_work(write=False) as db:
        newest = sa.select(col(Job.started_at), col(Job.finished_at)).where(col(Job.name) == "fetcher.run_batch")
        first, last = (await db.execute(newest.order_by(col(Job.id).desc()).limit(1))).one()
    return float((last - first).total_seconds())  # type: ignore[operator]


def said(values: list[float], scale: float = 1) -> str:
    """The median and the extremes."""
    low, middle, high = (scale * each for each in (min(values), statistics.median(values), max(values)))
    return f"median {middle:,.0f} ({low:,.0f} to {high:,.0f})"


def memory(process: Process, name: str) -> float:
    """VmRSS or VmHWM of a process, in MB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


async def ratio(report: Report, site: Lab, web: Web, urls: list[str], rounds: int) -> None:
    """The engine alone and the whole path in turns."""
    await whole_path(site, web, urls[:SMALL])  # everything is loaded and compiled
    rates: dict[str, list[float]] = {"the engine alone": [], "the whole path": [], "of it the job": []}
    posts, frames = list[float](), list[float]()
    for _ in range(rounds):
        started = time.perf_counter()
        await engine(urls)
        rates["the engine alone"].append(len(urls) / (time.perf_counter() - started))
        seen = await whole_path(site, web, urls)
        rates["the whole path"].append(len(urls) / seen.seconds)
        rates["of it the job"].append(len(urls) / await job_seconds(site))
        posts.append(seen.accepted - seen.posted)
        frames.append(seen.frames)
    for name, each in rates.items():
        report.note(f"{name}, URLs/s", said(each))
    report.note("the POST, ms; frames the watcher saw", f"{said(posts, 1000)}; {said(frames)}")
    alone, whole, _ = (statistics.median(each) for each in rates.values())
    report.at_least("the whole path by the engine alone", 0.5, whole / alone)


async def large(
    report: Report, site: Lab, web: Web, processes: dict[str, Process], urls: list[str], rounds: int
) -> None:
    """Batches of 10,000, one after the other, with a visitor who loads the page ten times a second."""
    before = {name: memory(process, "VmRSS") for name, process in processes.items()}
    for process in processes.values():
        forget_peak(process)
    batches = [await whole_path(site, web, urls, look=True) for _ in range(rounds)]
    await asyncio.sleep(NOTED * 2 * WAKE_SECONDS)
    report.note("URLs/s by the whole path", said([len(urls) / each.seconds for each in batches]))
    for name, process in processes.items():
        report.at_most(f"{name}: peak of its memory", 64, memory(process, "VmHWM") - before[name], "MB more")
        late = [each for seen in batches for each in lags(site.folder, process.pid, seen.posted, seen.ended)]
        lag, own = ([1000 * each[place] for each in late] for place in (0, 1))
        report.note(f"{name}: loop lag p50, p99; max of computing", f"{shown(lag)}; {max(own):.0f} ms")
        report.at_most(f"{name}: loop lag, max", 100, max(lag), "ms")
    report.note("the POST, ms", said([each.accepted - each.posted for each in batches], 1000))
    answers = [1000 * one for each in batches for one in each.answers]
    report.note(f"the page meanwhile, {len(answers)} loads: p50, p99", f"{shown(answers)} ms")
    report.at_most("the page meanwhile, max", 1000, max(answers), "ms")


def forget_peak(process: Process) -> None:
    """Let VmHWM begin anew."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")


def shown(values: list[float]) -> str:
    """The median and the slowest but one percent."""
    return f"{statistics.median(values):.1f}, {statistics.quantiles(values, n=100)[98]:.1f}"


async def main(report: Report, rounds: int, amount: int, large_rounds: int) -> None:
    """All of it."""
    async with origin() as port:
        urls = [f"http://127.0.0.1:{port}/{number}" for number in range(max(amount, LARGE))]
        settings: dict[str, Any] = {
            "INSTALLED_APPS": APPS,
            "FETCHER_ALLOW": f"127.0.0.1:{port}",
            "FETCHER_CONCURRENCY": str(CONCURRENCY),
            "FETCHER_PER_HOST": str(CONCURRENCY),
            "FETCHER_URLS_PER_DAY": "10000000",
        }
        report.begin(f"{amount:,} URLs, {CONCURRENCY} at once, {rounds} rounds")
        async with lab("postgresql", redis=True, **settings) as site:
            report.equal("fsync, synchronous_commit of PostgreSQL", ("on", "on"), await durability(site))
            await site.worker()
            await ratio(report, site, await site.web(), urls[:amount], rounds)
        report.begin(f"{LARGE:,} URLs in one batch, {large_rounds} times")
        async with lab("postgresql", redis=True, **settings) as site:
            worker, web = await site.worker(), await site.web()
            await whole_path(site, web, urls[:SMALL])
            await large(report, site, web, {"worker": worker, "web": web}, urls[:LARGE], large_rounds)


if __name__ == "__main__":
    told = Report()
    given = [int(word) for word in sys.argv[1:]]
    asyncio.run(main(told, *(given + [ROUNDS, URLS, LARGE_ROUNDS][len(given) :])))
    raise SystemExit(0 if told.good else 1)
