"""The job table: one row for each job, from its enqueueing until it is swept; and the database's clock."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import Field, col

from project.core.db.models import Model
from project.core.live.events import Event


class State(StrEnum):
    """Where a job stands. `queued` includes those that wait for their time or their next try."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"


class Job(Model, table=True):
    """A job. Times are the database's; `attempt` counts the claims and is the fence, `failures` counts the tries."""

    __tablename__ = "core_job"
    __transient__ = True

    name: str = Field(max_length=100)
    arguments: dict[str, Any] = Field(sa_type=sa.JSON)
    queue: str = Field(default="default", max_length=50)
    owner: UUID | None = None
    key: str | None = Field(default=None, max_length=64)
    state: State = State.QUEUED
    due_at: datetime
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = Field(default=None, index=True)
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    lease_until: datetime | None = None
    worker: str = Field(default="", max_length=100)
    cancel_asked: bool = False
    done: int = 0
    total: int = 0
    note: str = Field(default="", max_length=200)
    result: Any = Field(default=None, sa_type=sa.JSON, nullable=True)
    error: str = Field(default="", max_length=2000)
    request_id: str = Field(default="", max_length=64)
    traceparent: str | None = Field(default=None, max_length=55)  # W3C Trace Context, version 00

    def __str__(self) -> str:
        return f"{self.name} {self.id}"


class Schedule(Model, table=True):
    """The last due time of a cron task that became a job; moving it on is what lets only one worker enqueue it."""

    __tablename__ = "core_schedule"
    __transient__ = True

    name: str = Field(max_length=100, unique=True)
    last_due_at: datetime


CHANGED = Event("changed")  # on the topic of a job: read its row again


def topic(job_id: UUID) -> str:
    """Where it is told that this job has changed."""
    return f"job:{job_id}"


WAITING = col(Job.state) == State.QUEUED
ACTIVE = col(Job.state).in_([State.QUEUED, State.RUNNING])
# As text, since a parameter has no place in the definition of an index.
STATE_IS_ACTIVE = sa.text("state IN ('queued', 'running')")
_QUEUED, _RUNNING = sa.text("state = 'queued'"), sa.text("state = 'running'")

_table: sa.Table = Job.__table__  # type: ignore[attr-defined]
for _name, _columns, _where in (
    ("ix_core_job_due_at", ["due_at"], _QUEUED),
    ("ix_core_job_owner", ["owner"], _QUEUED),
    ("ix_core_job_lease_until", ["lease_until"], _RUNNING),
    ("uq_core_job_key", ["key"], STATE_IS_ACTIVE),
):
    sa.Index(
        _name,
        *(_table.c[each] for each in _columns),
        unique=_name[:2] == "uq",
        postgresql_where=_where,
        sqlite_where=_where,
    )


class db_now(FunctionElement[datetime]):  # noqa: N801 - it is used as a function
    """The database's time, plus so many seconds: every worker goes by the one clock."""

    type = _table.c.due_at.type
    inherit_cache = True
    name = "db_now"

    def __init__(self, seconds: float = 0) -> None:
        super().__init__(sa.literal(float(seconds), sa.Float()))


@compiles(db_now, "postgresql")
def _postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **options)}))"


@compiles(db_now, "sqlite")
def _sqlite(element: Any, compiler: Any, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000')"
