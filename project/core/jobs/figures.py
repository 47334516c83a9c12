"""What people see of the jobs: the numbers behind the admin, health and metrics, and how a row is found and told."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from project.core.db.models import now
from project.core.db.session import AsyncSession
from project.core.errors import Conflict, NotFound
from project.core.jobs import queue
from project.core.jobs.claiming import RUNNING
from project.core.jobs.table import WAITING, Job, State, db_now
from project.core.log import masked

ENDED = (State.DONE, State.DEAD, State.CANCELLED)
PATIENCE = timedelta(minutes=1)
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Figures:
    """How the jobs stand.

    Attributes:
        queued: how many wait, for a worker or for their time.
        running: how many run.
        oldest_seconds: how long the one that waits longest has been due; 0 when none is.
        dead: how many became dead letters in the last day.
        away: whether some have been due for over a minute in a queue that nobody works on.
    """

    queued: int
    running: int
    oldest_seconds: float
    dead: int
    away: bool


async def job_figures(db: AsyncSession) -> Figures:
    """The numbers of this moment, by the database's clock."""
    at: datetime = await db.scalar(select(db_now()))  # type: ignore[assignment]
    worked_on = (RUNNING & (col(Job.lease_until) > at)) | (
        (col(Job.finished_at) > at - PATIENCE) & col(Job.state).in_([State.DONE, State.DEAD])
    )
    due = select(Job.id).where(WAITING, col(Job.due_at) < at - PATIENCE)
    left = due.where(col(Job.queue).not_in(select(Job.queue).where(worked_on)))
    dead = (col(Job.state) == State.DEAD) & (col(Job.finished_at) > at - DAY)
    oldest = select(sa.func.min(Job.due_at)).where(WAITING).scalar_subquery()
    asked = sa.select(_count(WAITING), _count(RUNNING), _count(dead), oldest, left.exists())
    queued, busy, dying, first, away = (await db.execute(asked)).one()
    return Figures(queued, busy, max(0.0, (at - first).total_seconds()) if first else 0.0, dying, away)


def _count(condition: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).select_from(Job).where(condition).scalar_subquery()


def begins(column: Any, prefix: str) -> sa.ColumnElement[bool]:
    """The condition that a UUID in this column begins so; raises NotFound for what is no part of one."""
    digits = prefix.replace("-", "").lower()
    if not re.fullmatch("[0-9a-f]{1,32}", digits):
        raise NotFound(f"{prefix!r} is not the beginning of an id.")
    return col(column).between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))


async def cancel(db: AsyncSession, job_id: UUID) -> Job:
    """Cancel a job as staff do; raises NotFound, and Conflict for one that has ended otherwise."""
    job = await queue.cancel(db, job_id)
    if job.state in (State.DONE, State.DEAD):
        raise Conflict("Only a job that waits or runs can be cancelled.")
    return job


def waited(job: Job) -> str:
    """How long it was due before its last try began; so far, when it waits."""
    end = now() if job.state == State.QUEUED else job.started_at
    return duration((end - job.due_at).total_seconds()) if end and end > job.due_at else ""


def ran(job: Job) -> str:
    """How long its last try took; so far, when it runs."""
    end = now() if job.state == State.RUNNING else job.finished_at
    return duration((end - job.started_at).total_seconds()) if end and job.started_at else ""


def duration(seconds: float) -> str:
    """Such as "0.3 s", "5 min 2 s" or "3 d 4 h"."""
    if seconds < 60:
        return f"{max(0.0, seconds):.1f} s"
    whole = round(seconds)
    for size, unit, smaller, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {part}"
    raise AssertionError


def readable(value: Any) -> str:
    """Arguments or a result as JSON over several lines, secrets masked; nothing for None."""
    return "" if value is None else json.dumps(masked("", value), indent=2, ensure_ascii=False)
