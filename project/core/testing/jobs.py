"""The fixture `jobs`: what a test does with jobs instead of waiting for a worker."""

import uuid
from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from project.core.jobs import Job, State
from project.core.jobs.executor import Executor
from project.core.jobs.table import Schedule
from project.core.runtime import Runtime


class Jobs:
    """The job table of a test: `await jobs.run()`, `await jobs.only("blog.publish")`, `await jobs.pass_time(60)`."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.executor = Executor(runtime, concurrency=1, kind="test")

    async def run(self) -> list[State | None]:
        """Run what is due, and what that enqueues, one after the other; returns how each ended."""
        ended = []
        while rows := await self.executor.claim(1):
            ended.append(await self.executor.run(rows[0]))
        return ended

    async def all(self, name: str | None = None, **arguments: Any) -> list[Job]:
        """The rows, oldest first: all, or those of a name and with such arguments."""
        wanted = select(Job).order_by(col(Job.id)).execution_options(populate_existing=True)
        async with self.runtime.unit_of_work(write=False) as db:
            rows = (await db.exec(wanted if name is None else wanted.where(Job.name == name))).all()
        given = {key: str(value) if isinstance(value, uuid.UUID) else value for key, value in arguments.items()}
        return [row for row in rows if given.items() <= row.arguments.items()]

    async def only(self, name: str | None = None, **arguments: Any) -> Job:
        """The one row that fits; fails when there is another number of them."""
        rows = await self.all(name, **arguments)
        assert len(rows) == 1, f"{len(rows)} jobs fit; there are: {[each.name for each in await self.all()]}"
        return rows[0]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the table: what is due by then becomes due, what ends by then has ended."""
        async with self.runtime.unit_of_work() as db:
            for job in (await db.exec(select(Job))).all():
                for name in ("due_at", "lease_until", "finished_at"):
                    if (moment := getattr(job, name)) is not None:
                        setattr(job, name, moment - timedelta(seconds=seconds))
            for task in (await db.exec(select(Schedule))).all():
                task.last_due_at -= timedelta(seconds=seconds)
        await self.executor.sweep()
