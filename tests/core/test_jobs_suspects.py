"""Jobs beside one that kills its worker, and jobs that a worker which stalled has claimed twice."""

import asyncio

import pytest
from fastapi import FastAPI

from project.core.jobs import Job, State
from project.core.jobs.executor import Executor
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from tests.core.test_jobs import ledger, put
from tests.core.test_jobs_running import start

KEYS = ["a", "b", "c"]


@pytest.fixture
def runtime(probe_app: FastAPI) -> Runtime:
    """The probe site's: commits are real."""
    found: Runtime = probe_app.state.runtime
    return found


@pytest.fixture
def worker(runtime: Runtime) -> Executor:
    """A worker with room for all."""
    return Executor(runtime, concurrency=9)


async def test_what_died_beside_the_one_that_kills_workers_is_not_buried_with_it(
    runtime: Runtime, jobs: Jobs, worker: Executor
) -> None:
    await put(runtime, "probe.die")
    for key in KEYS:
        await put(runtime, "probe.write", key=key)
    deaths = 0
    while rows := await worker.claim(9):
        if any(row.name == "probe.die" for row in rows):
            deaths += 1
            await jobs.pass_time(31)  # nobody renews the leases of all that it held
        else:
            await asyncio.gather(*map(worker.run, rows))
            await jobs.pass_time(1)
    assert (await jobs.only("probe.die")).state == State.DEAD
    assert deaths == 3
    assert await ledger(runtime) == KEYS


async def test_a_worker_that_runs_a_suspect_takes_no_second_one(runtime: Runtime, jobs: Jobs, worker: Executor) -> None:
    ids = [await put(runtime, "probe.write", key=key, seconds=60) for key in KEYS[:2]]
    async with runtime.unit_of_work() as db:
        for job_id in ids:
            (await db.get_one(Job, job_id)).deaths = 2
    await put(runtime, "probe.write", key=KEYS[2])
    running, _ = await start(worker)
    (ordinary,) = await worker.claim(9)
    assert ordinary.arguments["key"] == KEYS[2]
    await jobs.pass_time(1)
    assert await worker.claim(9) == []
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await jobs.pass_time(1)
    assert len(await worker.claim(9)) == 1


async def test_a_worker_that_stalled_and_claims_its_job_anew_runs_it_once_and_holds_it(
    runtime: Runtime, jobs: Jobs, worker: Executor
) -> None:
    await put(runtime, "probe.write", key="a", seconds=60)
    stalled, job_id = await start(worker)
    await jobs.pass_time(31)
    again, _ = await start(worker)
    await asyncio.wait([stalled], timeout=5)
    assert stalled.cancelled()
    assert worker.running[job_id][1] is again
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)
    assert worker.running == {}
