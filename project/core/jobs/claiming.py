"""The statements by which workers share the rows: claim, end, give back, renew, sweep."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from project.core.db.session import AsyncSession
from project.core.jobs.table import WAITING, Job, State, db_now

LEASE_SECONDS = 30
DEATHS = 3
PARAMETERS = ("queues", "room", "some", "claimer")
RUNNING = col(Job.state) == State.RUNNING
DIED = "The worker that ran it stopped without a word."


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that this worker holds while its lease lasts; `attempt` and `worker` are the fence of its statements."""

    id: UUID
    name: str
    arguments: dict[str, Any]
    attempt: int
    worker: str
    failures: int
    deaths: int
    queue: str
    owner: UUID | None
    request_id: str
    traceparent: str | None

    @property
    def suspect(self) -> bool:
        """Whether two workers have died with it: it is the one that kills them, or was beside that one."""
        return self.deaths >= DEATHS - 1


COLUMNS = [getattr(Job, name) for name in Claimed.__slots__]


async def claim(db: AsyncSession, queues: Collection[str], worker: str, room: int) -> list[Claimed]:
    """Take up to `room` due rows. Owners take turns, the longest waiting first; what belongs to nobody is one owner."""
    postgresql = db.get_bind().dialect.name == "postgresql"
    if postgresql:  # a claim that a crash of the server takes back is claimed again; whatever ends a job is durable
        await db.execute(sa.text("SET LOCAL synchronous_commit TO off"))
    wanted = {"queues": list(queues), "claimer": worker, "room": room, "some": 4 * room}
    taken = await db.execute(_claiming(postgresql), wanted, execution_options={"synchronize_session": False})
    return [Claimed(*row) for row in taken]


@lru_cache
def _claiming(postgresql: bool) -> Any:
    """The statement, built once, since building it takes as long as running it."""
    given: list[Any] = [sa.bindparam(name, expanding=name == "queues") for name in PARAMETERS]
    queues, room, some, claimer = given
    due = WAITING & (col(Job.due_at) <= db_now()) & col(Job.queue).in_(queues)
    oldest = (col(Job.due_at), col(Job.id))
    turn = sa.func.row_number().over(partition_by=col(Job.owner), order_by=oldest).label("turn")
    owned = select(col(Job.id), col(Job.due_at), turn).where(due, col(Job.owner).is_not(None))
    # Only a few of these are numbered: nobody's jobs may be many thousands.
    free = select(col(Job.id), col(Job.due_at)).where(due, col(Job.owner).is_(None)).order_by(*oldest).limit(some)
    nobodys = free.subquery()
    numbered = sa.func.row_number().over(order_by=(nobodys.c.due_at, nobodys.c.id))
    turns = sa.union_all(owned, sa.select(nobodys.c.id, nobodys.c.due_at, numbered)).subquery()
    queued = select(col(Job.id)).where(WAITING)
    if postgresql:
        # Row by row by the key: a join is planned by statistics, which know nothing of a flood that has just come.
        in_turn = sa.select(turns).order_by(turns.c.turn, turns.c.due_at).subquery()
        row = queued.where(col(Job.id) == in_turn.c.id).with_for_update(skip_locked=True).lateral()
        chosen = sa.select(row.c.id).select_from(in_turn.join(row, sa.true())).limit(room)
    else:
        chosen = queued.join(turns, turns.c.id == Job.id).order_by(turns.c.turn, turns.c.due_at).limit(room)
    held = {
        "state": State.RUNNING,
        "attempt": Job.attempt + 1,
        "worker": claimer,
        "started_at": db_now(),
        "lease_until": db_now(LEASE_SECONDS),
    }
    return sa.update(Job).where(col(Job.id).in_(chosen)).values(held).returning(*COLUMNS)


def _held(rows: Sequence[Claimed]) -> sa.ColumnElement[bool]:
    mine = [(row.id, row.attempt, row.worker) for row in rows]
    return sa.tuple_(col(Job.id), col(Job.attempt), col(Job.worker)).in_(mine) & RUNNING


async def end(db: AsyncSession, rows: Sequence[Claimed], state: State, **values: Any) -> list[UUID]:
    """End the rows that are still held, in one statement; returns the ids of those that were."""
    ended = {"state": state, "finished_at": db_now(), "lease_until": None, "worker": "", **values}
    statement = sa.update(Job).where(_held(rows)).values(ended).returning(col(Job.id))
    return list((await db.execute(statement, execution_options={"synchronize_session": False})).scalars())


async def give_back(db: AsyncSession, rows: Sequence[Claimed], *, wait: float = 0, **values: Any) -> None:
    """Let the rows wait again, `wait` seconds, unless they were to be cancelled; who counts a try gives `failures`."""
    asked = col(Job.cancel_asked)
    waiting = {
        "state": sa.case((asked, State.CANCELLED.value), else_=State.QUEUED.value),
        "finished_at": sa.case((asked, db_now()), else_=None),
        "due_at": db_now(wait),
        "lease_until": None,
        "worker": "",
    }
    await _update(db, _held(rows), waiting | values)


async def hold(db: AsyncSession, row: Claimed, **values: Any) -> bool:
    """Renew the lease of one row, with new values; False when it is no longer held."""
    statement = sa.update(Job).where(_held([row])).values(lease_until=db_now(LEASE_SECONDS), **values)
    return bool((await db.execute(statement.returning(col(Job.id)))).all())


async def renew(db: AsyncSession, rows: Sequence[Claimed]) -> dict[UUID, bool]:
    """Renew the leases; returns {id: whether somebody asked to cancel it} of those that are still held."""
    statement = sa.update(Job).where(_held(rows)).values(lease_until=db_now(LEASE_SECONDS))
    kept = await db.execute(statement.returning(col(Job.id), col(Job.cancel_asked)))
    return {job_id: asked for job_id, asked in kept}


async def sweep(db: AsyncSession, *, of_worker: str | None = None) -> Sequence[str]:
    """Free the rows whose worker has died; after three deaths a row is a dead letter. Returns the queues to ring.

    Args:
        of_worker: the beginning of the names of workers that are known to be gone; their leases count no more.
    """
    gone = col(Job.lease_until) < db_now() if of_worker is None else col(Job.worker).startswith(of_worker)
    left = RUNNING & gone
    buried = {"state": State.DEAD, "finished_at": db_now(), "lease_until": None, "deaths": Job.deaths + 1}
    await _update(db, left & (col(Job.deaths) + 1 >= DEATHS), buried | {"error": DIED})
    asked = {"state": State.CANCELLED, "finished_at": db_now(), "lease_until": None}
    await _update(db, left & col(Job.cancel_asked), asked)
    freed = {"state": State.QUEUED, "due_at": db_now(), "lease_until": None, "deaths": Job.deaths + 1, "error": DIED}
    await _update(db, left, freed)
    due = select(col(Job.queue)).where(WAITING, col(Job.due_at) <= db_now()).distinct()
    return (await db.exec(due)).all()


async def until_next(db: AsyncSession, queues: Collection[str]) -> float | None:
    """Seconds until the next row of these queues is due, by the database's clock; None when none waits."""
    first = select(sa.func.min(Job.due_at), db_now()).where(WAITING, col(Job.queue).in_(queues))
    due, now = (await db.execute(first)).one()
    return None if due is None else max(0.0, (due - now).total_seconds())


async def forget(db: AsyncSession, *, done_days: float, dead_days: float) -> int:
    """Delete the rows that ended long ago; dead letters are kept longer. Returns how many."""
    day = 86_400
    dead = col(Job.state) == State.DEAD
    old = (col(Job.finished_at) < db_now(-done_days * day)) & ~dead
    gone = old | (dead & (col(Job.finished_at) < db_now(-dead_days * day)))
    return (await db.exec(sa.delete(Job).where(gone))).rowcount


async def _update(db: AsyncSession, where: sa.ColumnElement[bool], values: dict[str, Any]) -> None:
    statement = sa.update(Job).where(where).values(values)
    await db.execute(statement, execution_options={"synchronize_session": False})
