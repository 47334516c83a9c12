"""Enqueueing: rows that commit with their unit of work, arguments that are checked, keys, owners, times."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlmodel import select

from project.core.db.models import uuid7
from project.core.errors import ConfigurationError, Conflict, Invalid, NotFound, TooMany
from project.core.jobs import Job, Running, State, cancel, enqueue, job, queue, retry
from project.core.jobs.queue import UnknownJob
from project.core.log import request_id
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from tests.core.probe.models import Ledger


@pytest.fixture
def runtime(probe_app: FastAPI) -> Runtime:
    """The probe site's: commits are real."""
    found: Runtime = probe_app.state.runtime
    return found


async def put(runtime: Runtime, name: str, **options: Any) -> UUID:
    async with runtime.unit_of_work() as db:
        return await enqueue(db, name, **options)


async def ledger(runtime: Runtime) -> list[str]:
    async with runtime.unit_of_work(write=False) as db:
        return sorted((await db.execute(select(Ledger.key))).scalars())


async def test_a_job_runs_after_the_commit_and_never_before(runtime: Runtime, jobs: Jobs) -> None:
    async with runtime.unit_of_work() as db:
        await enqueue(db, "probe.write", key="a")
        if not runtime.database.is_sqlite:  # whose other writers wait for the commit
            assert await asyncio.create_task(jobs.run()) == []
    assert await jobs.run() == [State.DONE]
    assert await ledger(runtime) == ["a"]


async def test_what_is_rolled_back_never_runs(runtime: Runtime, jobs: Jobs) -> None:
    async def fail_late() -> None:
        async with runtime.unit_of_work() as db:
            await enqueue(db, "probe.write", key="a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_late()
    assert await jobs.all() == []


async def test_the_bell_rings_after_the_commit_once_for_many_rows(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[str] = []
    monkeypatch.setattr(runtime.queue.bell, "ring", rung.append)
    async with runtime.unit_of_work() as db:
        for number in range(3):
            await enqueue(db, "probe.nothing", number=number)
        await enqueue(db, "probe.slowly")
        assert rung == []
    assert rung == ["default", "slow"]


async def test_an_unknown_name_is_answered_with_the_nearest(runtime: Runtime) -> None:
    with pytest.raises(UnknownJob, match=r"no job 'probe\.wrte'\. Did you mean 'probe\.write'\?"):
        await put(runtime, "probe.wrte", key="a")


@pytest.mark.parametrize("arguments", [{}, {"key": "a", "more": 1}, {"key": "a", "seconds": "soon"}, {"key": object()}])
async def test_arguments_are_checked_before_anything_is_written(
    runtime: Runtime, jobs: Jobs, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Invalid, match=r"probe\.write cannot be enqueued like that"):
        await put(runtime, "probe.write", **arguments)
    assert await jobs.all() == []


async def test_a_row_whose_arguments_no_longer_fit_is_a_dead_letter(runtime: Runtime, jobs: Jobs) -> None:
    job_id = await put(runtime, "probe.write", key="a")
    async with runtime.unit_of_work() as db:
        (await db.get_one(Job, job_id)).arguments = {"former": 1}
    assert await jobs.run() == [State.DEAD]
    assert (await jobs.only()).error == "The arguments no longer fit the function: former, key"


async def test_a_row_whose_app_is_gone_is_a_dead_letter(runtime: Runtime, jobs: Jobs) -> None:
    job_id = await put(runtime, "probe.write", key="a")
    async with runtime.unit_of_work() as db:
        (await db.get_one(Job, job_id)).name = "former.task"
    assert await jobs.run() == [State.DEAD]


async def test_a_delayed_job_waits_for_its_time(runtime: Runtime, jobs: Jobs) -> None:
    await put(runtime, "probe.write", key="a", delay=60)
    assert await jobs.run() == []
    await jobs.pass_time(59)
    assert await jobs.run() == []
    await jobs.pass_time(2)
    assert await jobs.run() == [State.DONE]


async def test_a_unique_job_is_there_once_while_it_waits_or_runs(runtime: Runtime, jobs: Jobs) -> None:
    first = await put(runtime, "probe.once", number=1)
    assert await put(runtime, "probe.once", number=1) == first
    assert await put(runtime, "probe.once", number=2) != first
    (row,) = await jobs.executor.claim(1)
    assert await put(runtime, "probe.once", number=1) == first
    await jobs.executor.run(row)
    assert await put(runtime, "probe.once", number=1) != first


async def test_an_owner_has_room_for_so_many_waiting_jobs(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "OWNERS_ROOM", 3)
    owner = uuid7()
    for number in range(3):
        await put(runtime, "probe.nothing", number=number, owner=owner)
    with pytest.raises(TooMany) as refused:
        await put(runtime, "probe.nothing", owner=owner)
    assert refused.value.retry_after
    await put(runtime, "probe.nothing", owner=uuid7())
    await put(runtime, "probe.nothing")


async def test_owners_take_turns(runtime: Runtime, jobs: Jobs) -> None:
    greedy, modest = uuid7(), uuid7()
    for number in range(5):
        await put(runtime, "probe.nothing", number=number, owner=greedy)
    for number in range(2):
        await put(runtime, "probe.nothing", number=number)
    await put(runtime, "probe.nothing", number=9, owner=modest)
    rows = await jobs.executor.claim(4)
    assert {row.owner for row in rows} == {greedy, modest, None}


async def test_a_waiting_job_is_cancelled_at_once(runtime: Runtime, jobs: Jobs) -> None:
    job_id = await put(runtime, "probe.write", key="a")
    async with runtime.unit_of_work() as db:
        assert (await cancel(db, job_id)).state == State.CANCELLED
    assert await jobs.run() == []


async def test_a_job_is_cancelled_by_its_owner_only(runtime: Runtime) -> None:
    owner = uuid7()
    job_id = await put(runtime, "probe.nothing", owner=owner)
    for stranger in (uuid7(), uuid4()):
        with pytest.raises(NotFound):
            async with runtime.unit_of_work() as db:
                await cancel(db, job_id, owner=stranger)
    async with runtime.unit_of_work() as db:
        assert (await cancel(db, job_id, owner=owner)).state == State.CANCELLED


async def test_a_dead_job_begins_anew_when_asked(runtime: Runtime, jobs: Jobs) -> None:
    job_id = await put(runtime, "probe.hopeless")
    assert await jobs.run() == [State.DEAD]
    async with runtime.unit_of_work() as db:
        fresh = await retry(db, job_id)
    assert (fresh.state, fresh.failures, fresh.error) == (State.QUEUED, 0, "")
    with pytest.raises(Conflict):
        async with runtime.unit_of_work() as db:
            await retry(db, job_id)


async def test_a_job_remembers_the_request_it_comes_from(runtime: Runtime, jobs: Jobs) -> None:
    token = request_id.set("request-7")
    await put(runtime, "probe.nothing")
    request_id.reset(token)
    assert (await jobs.only()).request_id == "request-7"


async def _untyped(running: Running, key) -> None: ...  # type: ignore[no-untyped-def]


async def _reserved(running: Running, owner: str) -> None: ...


async def _any(running: Running, *keys: str) -> None: ...


def _plain(key: str) -> None: ...


@pytest.mark.parametrize("function", [_untyped, _reserved, _any, _plain])
def test_a_function_that_cannot_be_a_job_is_refused_where_it_is_declared(function: Any) -> None:
    with pytest.raises(ConfigurationError, match="The job"):
        job()(function)


def test_what_is_unique_must_be_an_argument() -> None:
    with pytest.raises(ConfigurationError, match="unique names other"):
        job(unique=["other"], runs_in="thread")(_plain)
