"""Enqueueing: a row in the caller's own transaction, and a ring for the workers once it is committed."""

import functools
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from project.core.db.engine import on_commit
from project.core.db.models import uuid7
from project.core.db.queries import insert
from project.core.db.session import AsyncSession
from project.core.errors import Conflict, NotFound, TooMany, nearest
from project.core.jobs.declaring import JobType
from project.core.jobs.table import ACTIVE, CHANGED, STATE_IS_ACTIVE, WAITING, Job, State, db_now, topic
from project.core.live.bus import publish
from project.core.log import request_id
from project.core.tracing import traceparent

OWNERS_ROOM = 1000
RETRY_AFTER = 60


class UnknownJob(LookupError):
    """A name that no installed app declares."""


class Bell(Protocol):
    """Whoever tells the workers that there is work. It never waits for anything."""

    def ring(self, queue: str) -> None:
        """Say that a row of this queue was committed."""

    def open(self) -> AbstractAsyncContextManager[None]:
        """What rings need while the process runs."""


class Queue:
    """What a session needs for enqueueing: the jobs by name, and the bell."""

    def __init__(self, types: Mapping[str, JobType], bell: Bell) -> None:
        self.types = types
        self.bell = bell

    def type(self, name: str) -> JobType:
        """The job of that name; raises UnknownJob with the nearest match."""
        if name not in self.types:
            raise UnknownJob(f"There is no job {name!r}.{nearest(name, list(self.types))}")
        return self.types[name]

    def ring_on_commit(self, db: AsyncSession, queue: str) -> None:
        """Ring once this unit of work has committed, however many rows it wrote."""
        rung: set[str] = db.info.setdefault("rung", set())
        if queue not in rung:
            rung.add(queue)
            on_commit(db, functools.partial(self._ring, queue))

    async def _ring(self, queue: str) -> None:
        self.bell.ring(queue)


async def enqueue(
    db: AsyncSession,
    name: str,
    /,
    *,
    delay: float = 0,
    at: datetime | None = None,
    owner: UUID | None = None,
    **arguments: Any,
) -> UUID:
    """Add a job to this unit of work: it runs after the commit, or never when that does not happen.

    Args:
        name: such as "accounts.send_welcome".
        delay: seconds to wait at least, by the database's clock.
        at: the moment to wait for, aware; instead of `delay`.
        owner: the person it is for, who may see and cancel it; owners take turns and have room for 1,000 waiting jobs.
        arguments: the function's own.

    Returns:
        The job's id; of a unique job that waits or runs already, that one's.

    Raises:
        UnknownJob: no installed app declares it.
        Invalid: the arguments are not what the function takes.
        TooMany: too many jobs of this owner wait.
    """
    queue: Queue = db.info["queue"]
    kind = queue.type(name)
    kept = kind.checked(arguments)
    if owner is not None:
        await _has_room(db, owner)
    job_id = uuid7()
    values = {
        "id": job_id,
        "name": name,
        "arguments": kept,
        "queue": kind.queue,
        "owner": owner,
        "key": kind.key(kept),
        "state": State.QUEUED,
        "due_at": db_now(delay) if at is None else at,
        "created_at": db_now(),
        "request_id": request_id.get(),
        "traceparent": traceparent(),
    }
    queue.ring_on_commit(db, kind.queue)
    if values["key"] is not None:
        return await _insert_unique(db, values)
    await db.execute(sa.insert(Job).values(values))
    return job_id


async def _has_room(db: AsyncSession, owner: UUID) -> None:
    waiting = select(Job.id).where(col(Job.owner) == owner, WAITING).limit(OWNERS_ROOM).subquery()
    if (await db.exec(select(sa.func.count()).select_from(waiting))).one() >= OWNERS_ROOM:
        raise TooMany("Too many of your jobs are waiting. Try again when some are done.", retry_after=RETRY_AFTER)


async def _insert_unique(db: AsyncSession, values: dict[str, Any]) -> UUID:
    new = insert(db, Job).values(values).on_conflict_do_nothing(index_elements=["key"], index_where=STATE_IS_ACTIVE)
    # The one that is in the way may end between the two statements; then the next round inserts.
    for _ in range(10):
        added: UUID | None = await db.scalar(new.returning(Job.id))
        found = added or (await db.exec(select(Job.id).where(col(Job.key) == values["key"], ACTIVE))).first()
        if found is not None:
            return found
    raise Conflict("A job like this one comes and goes too fast. Try again.")


async def cancel(db: AsyncSession, job_id: UUID, *, owner: UUID | None = None) -> Job:
    """Cancel a job: at once when it waits, within seconds when it runs. One that has ended stays as it is.

    Raises:
        NotFound: there is none, or it is not this owner's.
    """
    await find(db, job_id, owner=owner)
    # In one statement, so that a worker which gives it back at this moment cannot slip through between two.
    ended = {
        "state": sa.case((WAITING, State.CANCELLED.value), else_=col(Job.state)),
        "finished_at": sa.case((WAITING, db_now()), else_=None),
        "cancel_asked": True,
    }
    changed = sa.update(Job).where(col(Job.id) == job_id, ACTIVE).values(ended)
    await db.execute(changed, execution_options={"synchronize_session": False})
    await publish(db, topic(job_id), CHANGED)
    return await find(db, job_id)


async def retry(db: AsyncSession, job_id: UUID) -> Job:
    """Let a dead or cancelled job begin anew; raises NotFound, and Conflict for one that is neither or has a twin."""
    ended = col(Job.state).in_([State.DEAD, State.CANCELLED])
    fresh = {
        "state": State.QUEUED,
        "due_at": db_now(),
        "finished_at": None,
        "failures": 0,
        "deaths": 0,
        "error": "",
        "cancel_asked": False,
    }
    try:
        changed = (await db.exec(sa.update(Job).where(col(Job.id) == job_id, ended).values(fresh))).rowcount
    except sa.exc.IntegrityError:
        raise Conflict("Another job like this one waits or runs already.") from None
    if not changed:
        await find(db, job_id)
        raise Conflict("Only a dead or cancelled job can be tried again.")
    found = await find(db, job_id)
    queue: Queue = db.info["queue"]
    queue.ring_on_commit(db, found.queue)
    return found


async def find(db: AsyncSession, job_id: UUID, *, owner: UUID | None = None) -> Job:
    """The row as it stands now; raises NotFound, also when it is another owner's."""
    wanted = select(Job).where(col(Job.id) == job_id).execution_options(populate_existing=True)
    row = (await db.exec(wanted)).first()
    if row is None or owner not in (None, row.owner):
        raise NotFound
    return row
