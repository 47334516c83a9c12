"""The clock of cron tasks: each due time becomes one job, on any number of workers."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import col, select

from project.core.db.models import uuid7
from project.core.db.session import AsyncSession
from project.core.jobs.declaring import JobType
from project.core.jobs.queue import enqueue
from project.core.jobs.table import Schedule, db_now

FOREVER = 3600.0


async def tick(db: AsyncSession, types: Mapping[str, JobType]) -> float:
    """Enqueue the cron tasks that are due; returns the seconds until the next one, by the database's clock.

    A task that is seen for the first time waits for its next time. Times that passed while no worker lived are made
    up for by one run. Whoever moves `last_due_at` on enqueues the job, in the same transaction; the others have lost.
    """
    tasks = {name: kind for name, kind in types.items() if kind.schedule is not None}
    if not tasks:
        return FOREVER
    now: datetime = await db.scalar(select(db_now()))  # type: ignore[assignment]
    known = {name: last for name, last in await db.execute(select(Schedule.name, Schedule.last_due_at))}
    for name in tasks.keys() - known.keys():
        await db.execute(sa.insert(Schedule).values(id=uuid7(), name=name, last_due_at=now))
        known[name] = now
    for name, kind in tasks.items():
        last = known[name]
        due = kind.next_tick(last)
        if due <= now:
            moved = due if kind.next_tick(due) > now else now
            mine = (col(Schedule.name) == name) & (col(Schedule.last_due_at) == last)
            if (await db.exec(sa.update(Schedule).where(mine).values(last_due_at=moved))).rowcount:
                await enqueue(db, name)
            known[name] = moved
    return max(0.0, min((kind.next_tick(known[name]) - now).total_seconds() for name, kind in tasks.items()))
