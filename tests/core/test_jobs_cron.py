"""Cron: each due time once on any number of workers; times that passed are made up for by one run."""

import asyncio
from datetime import UTC, datetime

import pytest
from fastapi import FastAPI

from project.core.errors import ConfigurationError
from project.core.jobs import Running, cron, schedule
from project.core.jobs.declaring import JobType
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from tests.core.probe.jobs import often


@pytest.fixture
def runtime(probe_app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """The probe site's, with a task for every two seconds."""
    found: Runtime = probe_app.state.runtime
    monkeypatch.setitem(found.registry.jobs, "probe.often", often.named("probe"))
    return found


async def tick(runtime: Runtime) -> float:
    async with runtime.unit_of_work() as db:
        return await schedule.tick(db, {"probe.often": runtime.registry.jobs["probe.often"]})


async def test_a_task_seen_for_the_first_time_waits_for_its_next_time(runtime: Runtime, jobs: Jobs) -> None:
    assert 0 <= await tick(runtime) <= 2
    assert await jobs.all() == []


async def test_a_due_time_is_enqueued_once_by_many_workers(runtime: Runtime, jobs: Jobs) -> None:
    await tick(runtime)
    await jobs.pass_time(2)
    await asyncio.gather(*(asyncio.create_task(tick(runtime)) for _ in range(5)))
    assert len(await jobs.all("probe.often")) == 1


async def test_times_that_passed_while_nobody_lived_are_one_run(runtime: Runtime, jobs: Jobs) -> None:
    await tick(runtime)
    await jobs.pass_time(3600)
    assert 0 <= await tick(runtime) <= 2
    await tick(runtime)
    assert len(await jobs.all("probe.often")) == 1


@cron(weekday=0, hour=3, minute=30)
async def weekly(running: Running) -> None: ...


def test_a_schedule_is_read_as_utc() -> None:
    assert isinstance(weekly, JobType)
    friday = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert weekly.next_tick(friday) == datetime(2026, 11, 23, 3, 30, tzinfo=UTC)


async def _with_argument(running: Running, number: int) -> None: ...


def test_a_task_with_arguments_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="takes arguments"):
        cron(hour=3)(_with_argument)
