"""Running: outcomes, tries and their gaps, fences, leases, cancelling, threads and processes."""

import asyncio
import re
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI

from project.core.jobs import State, cancel, enqueue
from project.core.jobs.executor import Executor
from project.core.jobs.running import LostClaim, Running
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from tests.core.probe.models import Ledger
from tests.core.test_jobs import ledger, put


@pytest.fixture
def runtime(probe_app: FastAPI) -> Runtime:
    """The probe site's: commits are real."""
    found: Runtime = probe_app.state.runtime
    return found


@pytest.fixture
def other(runtime: Runtime) -> Executor:
    """Another worker."""
    return Executor(runtime, concurrency=1, kind="other")


async def start(executor: Executor) -> tuple["asyncio.Task[Any]", UUID]:
    """Claim one row and run it in the background, until its function has begun."""
    (row,) = await executor.claim(1)
    task = asyncio.create_task(executor.run(row))
    await asyncio.sleep(0)
    assert row.id in executor.running
    return task, row.id


async def test_failing_twice_it_is_done_at_the_third_try_after_growing_gaps(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.boom", key="a", times=2)
    gaps = []
    for failures in (1, 2):
        assert await jobs.run() == [State.QUEUED]
        row = await jobs.only()
        assert (row.failures, row.state) == (failures, State.QUEUED)
        gaps.append((row.due_at - (row.started_at or row.due_at)).total_seconds())
        assert await jobs.run() == []
        await jobs.pass_time(gaps[-1])
    assert await jobs.run() == [State.DONE]
    assert 1.5 <= gaps[0] < 2.7 < 3 <= gaps[1] < 5.2
    assert await ledger(runtime) == ["a"]


async def test_always_failing_it_is_a_dead_letter_with_the_reason_and_no_secret(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.boom", key="a", times=9)
    for _ in range(3):
        await jobs.run()
        await jobs.pass_time(3600)
    row = await jobs.only()
    assert (row.state, row.failures) == (State.DEAD, 3)
    assert re.fullmatch(r"ValueError in jobs\.py, line \d+: boom, password=\*{8}", row.error)
    assert row.finished_at


async def test_giving_up_is_final_at_once(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.hopeless")
    assert await jobs.run() == [State.DEAD]
    assert (await jobs.only()).error == "The address does not exist."


@pytest.mark.parametrize(("ugly", "told"), [("nul", "ab"), ("half", "a?b")])
async def test_words_that_no_database_takes_are_made_fit_and_the_outcome_is_written(
    runtime: Runtime, jobs: Jobs, ugly: str, told: str
) -> None:
    await put(runtime, "probe.leave", what=ugly, how="error")
    assert await jobs.run() == [State.DEAD]
    row = await jobs.only()
    assert row.note == told
    assert row.error.endswith(f": {told}")
    assert row.done == row.total == 2**31 - 1


@pytest.mark.parametrize(("ugly", "state"), [("nul", State.DONE), ("nan", State.DONE), ("half", State.DEAD)])
async def test_a_result_is_read_by_everybody_or_the_try_has_failed(
    runtime: Runtime, jobs: Jobs, ugly: str, state: State
) -> None:
    await put(runtime, "probe.leave", what=ugly, how="result")
    assert await jobs.run() == [state]
    assert (await jobs.only()).result == ("a\0b" if ugly == "nul" else None)


async def test_what_a_job_waits_for_may_be_cancelled_without_end_but_not_the_job(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.lean")
    assert await jobs.run() == [State.QUEUED]
    await jobs.pass_time(3600)
    assert await jobs.run() == [State.DEAD]


async def test_a_job_that_hangs_is_ended_at_its_timeout_and_tried_again(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.hang")
    assert await jobs.run() == [State.QUEUED]
    await jobs.pass_time(60)
    assert await jobs.run() == [State.DEAD]
    assert (await jobs.only()).error.startswith("TimeoutError")


async def test_being_stopped_gives_a_job_back_and_uses_up_no_try(runtime: Runtime, jobs: Jobs, other: Executor) -> None:
    await put(runtime, "probe.write", key="a", seconds=60)
    for _ in range(7):
        task, _ = await start(other)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    row = await jobs.only()
    assert (row.state, row.failures, row.deaths, row.attempt) == (State.QUEUED, 0, 0, 7)


async def test_a_dead_workers_job_is_run_by_another_after_its_lease(
    runtime: Runtime, jobs: Jobs, other: Executor
) -> None:
    await put(runtime, "probe.write", key="a")
    await other.claim(1)
    assert await jobs.run() == []
    await jobs.pass_time(31)
    assert await jobs.run() == [State.DONE]
    assert (await jobs.only()).deaths == 1


async def test_a_job_that_kills_three_workers_is_a_dead_letter(runtime: Runtime, jobs: Jobs, other: Executor) -> None:
    await put(runtime, "probe.die")
    await put(runtime, "probe.write", key="good")
    for _ in range(3):
        rows = await other.claim(2)
        for row in rows:
            if row.name == "probe.write":
                await other.run(row)
        await jobs.pass_time(31)
    dead = await jobs.only("probe.die")
    assert (dead.state, dead.deaths) == (State.DEAD, 3)
    assert "stopped without a word" in dead.error
    assert await ledger(runtime) == ["good"]


async def test_a_worker_that_stalled_writes_nothing_when_another_has_taken_over(
    runtime: Runtime, jobs: Jobs, other: Executor
) -> None:
    await put(runtime, "probe.write", key="a")
    (stalled,) = await other.claim(1)
    await jobs.pass_time(31)
    (row,) = await jobs.executor.claim(1)
    running = Running(runtime, stalled)
    for transaction in (running.unit_of_work, running.step):
        with pytest.raises(LostClaim):
            async with transaction() as db:
                db.add(Ledger(key="twice"))
    assert await other.run(stalled) is None
    assert await ledger(runtime) == []
    assert await jobs.executor.run(row) == State.DONE
    assert await ledger(runtime) == ["a"]


async def test_a_worker_that_stalled_cannot_finish_what_was_cancelled_meanwhile(
    runtime: Runtime, jobs: Jobs, other: Executor
) -> None:
    job_id = await put(runtime, "probe.write", key="a")
    (stalled,) = await other.claim(1)
    async with runtime.unit_of_work() as db:
        await cancel(db, job_id)
    await jobs.pass_time(31)
    assert await other.run(stalled) is None
    assert (await jobs.only()).state == State.CANCELLED
    assert await ledger(runtime) == []


async def test_a_running_job_is_cancelled_at_the_next_renewal(runtime: Runtime, jobs: Jobs, other: Executor) -> None:
    job_id = await put(runtime, "probe.write", key="a", seconds=60)
    task, _ = await start(other)
    async with runtime.unit_of_work() as db:
        assert (await cancel(db, job_id)).state == State.RUNNING
    await other.renew()
    assert await task == State.CANCELLED
    assert (await jobs.only()).state == State.CANCELLED
    assert await ledger(runtime) == []


async def test_a_job_that_was_taken_over_is_ended_here(runtime: Runtime, jobs: Jobs, other: Executor) -> None:
    await put(runtime, "probe.write", key="a", seconds=60)
    task, _ = await start(other)
    await jobs.pass_time(31)
    await jobs.executor.claim(1)
    await other.renew()
    await task
    assert (await jobs.only()).state == State.RUNNING


async def test_a_renewed_lease_keeps_a_long_job_where_it_is(runtime: Runtime, jobs: Jobs, other: Executor) -> None:
    await put(runtime, "probe.write", key="a", seconds=60)
    task, _ = await start(other)
    await jobs.pass_time(29)
    await other.renew()
    await jobs.pass_time(29)
    assert await jobs.run() == []
    task.cancel()
    await asyncio.wait([task])


async def test_a_beat_that_fails_is_not_the_last(other: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    beats, third = 0, asyncio.Event()

    async def fail() -> None:
        nonlocal beats
        beats += 1
        if beats == 3:
            third.set()
        raise ZeroDivisionError

    monkeypatch.setattr(other, "renew", fail)
    monkeypatch.setattr("project.core.jobs.executor.BEAT_SECONDS", 0.0)
    beat = asyncio.create_task(other.beat())
    async with asyncio.timeout(10):
        await third.wait()
    beat.cancel()


async def test_progress_is_kept(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.count", total=5)
    await jobs.run()
    row = await jobs.only()
    assert (row.state, row.done, row.total, row.note) == (State.DONE, 5, 5, "number 5")


async def test_a_function_that_blocks_runs_in_a_thread(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.sleeps", seconds=0.01)
    await jobs.run()
    assert (await jobs.only()).result == "slept"


async def test_a_function_that_computes_runs_in_a_process_and_is_killed_at_its_timeout(
    runtime: Runtime, jobs: Jobs
) -> None:
    await put(runtime, "probe.squares", numbers=[1, 2, 3])
    await put(runtime, "probe.spins")
    assert await jobs.run() == [State.DONE, State.DEAD]
    assert (await jobs.only("probe.squares")).result == [1, 4, 9]
    assert (await jobs.only("probe.spins")).error.startswith("TimeoutError")


@pytest.mark.parametrize(("how", "words"), [("silent", "it cannot say why"), ("large", "too large to keep")])
async def test_what_cannot_be_kept_is_told_in_words(runtime: Runtime, jobs: Jobs, how: str, words: str) -> None:
    await put(runtime, "probe.strange", how=how)
    assert await jobs.run() == [State.DEAD]
    assert words in (await jobs.only()).error


async def test_jobs_beside_the_loop_wait_for_their_turn_outside_of_their_timeout(
    runtime: Runtime, jobs: Jobs, other: Executor
) -> None:
    async with runtime.beside, runtime.beside, runtime.beside, runtime.beside:
        await put(runtime, "probe.spins")
        task, _ = await start(other)
        done, _ = await asyncio.wait([task], timeout=1.5)  # longer than its timeout
        assert not done
    assert await task == State.DEAD


async def test_rows_that_ended_long_ago_are_swept_dead_letters_later(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.nothing")
    await put(runtime, "probe.hopeless")
    await jobs.run()
    for days, left in ((6, 2), (2, 1), (80, 1), (5, 0)):
        await jobs.pass_time(days * 86_400)
        async with runtime.unit_of_work() as db:
            await enqueue(db, "core.sweep")
        await jobs.run()
        assert len([row for row in await jobs.all() if row.name != "core.sweep"]) == left, days


async def test_many_workers_run_each_job_once(runtime: Runtime, jobs: Jobs) -> None:
    for number in range(40):
        await put(runtime, "probe.write", key=f"key {number:02}")
    executors = [Executor(runtime, concurrency=4) for _ in range(4)]

    async def work(executor: Executor) -> None:
        while rows := await executor.claim(3):
            await asyncio.gather(*map(executor.run, rows))

    await asyncio.gather(*map(work, executors))
    await jobs.run()
    assert await ledger(runtime) == [f"key {number:02}" for number in range(40)]
    assert {row.attempt for row in await jobs.all()} == {1}
