"""The loop inside a web process: it runs what is committed, alone, and loses nothing when it stops or dies."""

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from fastapi import FastAPI

from project.core.jobs import Running, State, cancel, embedded, executor, job
from project.core.jobs.embedded import KIND, embedded_worker, lock_of
from project.core.jobs.executor import Executor
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import MakeSettings
from tests.core.test_jobs import put

SECONDS = 10


@pytest.fixture
async def runtime(probe_app: FastAPI, tmp_path: Any) -> AsyncIterator[Runtime]:
    """The probe site's, with a folder of its own, since the lock lies there."""
    found: Runtime = probe_app.state.runtime
    usual = found.settings
    found.settings = usual.model_copy(update={"DATA_DIR": tmp_path, "WORKER_GRACE": 0.0})
    yield found
    found.settings = usual


@pytest.fixture
def ran(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set by the job "probe.tell"."""
    event = asyncio.Event()

    @job()
    async def tell(running: Running) -> None:
        event.set()

    monkeypatch.setitem(runtime.registry.jobs, "probe.tell", tell.named("probe"))
    return event


async def told(event: asyncio.Event) -> None:
    with anyio.fail_after(SECONDS):
        await event.wait()


async def test_what_is_committed_runs_without_redis_and_without_a_worker(runtime: Runtime, ran: asyncio.Event) -> None:
    async with embedded_worker(runtime):
        await put(runtime, "probe.tell")
        await told(ran)


async def test_what_was_committed_before_the_start_runs_too(runtime: Runtime, ran: asyncio.Event) -> None:
    await put(runtime, "probe.tell")
    async with embedded_worker(runtime):
        await told(ran)


async def test_a_delayed_job_runs_at_its_time(runtime: Runtime, ran: asyncio.Event) -> None:
    async with embedded_worker(runtime):
        await put(runtime, "probe.tell", delay=0.3)
        await told(ran)


async def test_what_a_killed_process_held_runs_at_the_next_start(
    runtime: Runtime, jobs: Jobs, ran: asyncio.Event
) -> None:
    await put(runtime, "probe.tell")
    await Executor(runtime, concurrency=1, kind=KIND).claim(1)
    async with embedded_worker(runtime):
        await told(ran)
    assert (await jobs.only()).deaths == 1


async def test_only_one_process_here_runs_the_jobs_of_a_database(
    runtime: Runtime, jobs: Jobs, ran: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()
    usual = embedded._locked

    def watched(file: Any) -> bool:
        asked.set()
        return usual(file)

    monkeypatch.setattr(embedded, "_locked", watched)
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0.01)
    with lock_of(runtime).open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with embedded_worker(runtime):
            await put(runtime, "probe.tell")
            await told(asked)
            assert (await jobs.only()).state == State.QUEUED
            fcntl.flock(other, fcntl.LOCK_UN)
            await told(ran)


def test_sites_on_other_databases_run_their_jobs_beside_each_other(make_settings: MakeSettings, tmp_path: Path) -> None:
    locks = {lock_of(Runtime(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/{name}.sqlite3"))) for name in "aba"}
    assert len(locks) == 2


@pytest.fixture
async def endless(runtime: Runtime, ran: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A job that sets `ran`, and never ends."""

    @job()
    async def endless(running: Running) -> None:
        ran.set()
        await asyncio.Event().wait()

    monkeypatch.setitem(runtime.registry.jobs, "probe.endless", endless.named("probe"))
    return await put(runtime, "probe.endless")


async def test_stopping_gives_running_jobs_back(
    runtime: Runtime, jobs: Jobs, ran: asyncio.Event, endless: UUID
) -> None:
    async with embedded_worker(runtime):
        await told(ran)
    row = await jobs.only()
    assert (row.state, row.failures, row.deaths) == (State.QUEUED, 0, 0)


async def test_what_is_cancelled_while_the_process_stops_has_no_grace(
    runtime: Runtime, jobs: Jobs, ran: asyncio.Event, endless: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "BEAT_SECONDS", 0.01)
    runtime.settings = runtime.settings.model_copy(update={"WORKER_GRACE": 3600.0})
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(embedded_worker(runtime))
        await told(ran)
        stopping = asyncio.create_task(stack.pop_all().aclose())
        await asyncio.sleep(0)
        async with runtime.unit_of_work() as db:
            await cancel(db, endless)
        with anyio.fail_after(SECONDS):
            await stopping
    assert (await jobs.only()).state == State.CANCELLED
