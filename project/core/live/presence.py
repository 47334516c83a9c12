"""Presence: who is on a topic, in all processes. A lease in a table, so that a crash leaves nobody behind for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlmodel import Field, col, select

from project.core.db.engine import Database
from project.core.db.models import Model, now
from project.core.db.session import AsyncSession
from project.core.identity import Principal
from project.core.live.bus import publish
from project.core.live.events import Event
from project.core.log import get_logger

log = get_logger(__name__)
LEASE = timedelta(seconds=20)  # after which a process that says nothing counts as dead
BEAT = 5.0  # seconds between two renewals, when the leases of dead processes are swept, too


class Lease(Model, table=True):
    """One socket's word that somebody is there."""

    __tablename__ = "core_presence"
    __transient__ = True

    topic: str = Field(max_length=200, index=True)
    user_id: UUID
    name: str = Field(max_length=320)
    process: UUID = Field(index=True)
    expires_at: datetime = Field(default_factory=lambda: now() + LEASE, index=True)


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who is there."""

    user_id: UUID
    name: str


async def present(db: AsyncSession, topic: str) -> list[Present]:
    """Who is on a topic, each once, by name."""
    wanted = sa.select(col(Lease.user_id), sa.func.min(col(Lease.name))).group_by(col(Lease.user_id))
    rows = await db.execute(wanted.where(col(Lease.topic) == topic, col(Lease.expires_at) > now()))
    return sorted((Present(*row) for row in rows), key=lambda each: (each.name.casefold(), each.user_id))


class Presence:
    """The people whom this process holds on their topics; `joined` and `left` are published there.

    Events without an id: `{"user_id": …, "name": …}`, for somebody's first socket on the topic and their last.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid4()
        self._held: dict[UUID, Lease] = {}
        self._renewing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def on(self, topic: str, user: Principal) -> AsyncIterator[None]:
        """Count somebody as being on a topic while it is open; opens units of work of its own."""
        lease = Lease(topic=topic, user_id=user.id, name=user.label, process=self._process)
        async with self._database.unit_of_work() as db:
            if not await _is_there(db, lease):
                await _tell(db, "joined", lease)
            db.add(Lease(**lease.model_dump()))
        self._held[lease.id] = lease
        self._renewing = self._renewing or asyncio.create_task(self._renew())
        try:
            yield
        finally:
            del self._held[lease.id]
            if not self._held:
                self._renewing.cancel()
                self._renewing = None
            await asyncio.shield(asyncio.ensure_future(self._end(col(Lease.id) == lease.id)))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            try:
                async with self._database.unit_of_work() as db:
                    mine = col(Lease.process) == self._process
                    renewed = await db.exec(sa.update(Lease).where(mine).values(expires_at=now() + LEASE))
                    if renewed.rowcount < len(self._held):  # this process was taken for dead
                        await db.execute(sa.delete(Lease).where(mine))
                        fresh = {"expires_at": now() + LEASE}
                        db.add_all([Lease(**(each.model_dump() | fresh)) for each in self._held.values()])
            except Exception as error:
                log.warning("presence is not renewed", error=type(error).__name__)
            await self._end(col(Lease.expires_at) < now())

    async def _end(self, which: sa.ColumnElement[bool]) -> None:
        try:
            async with self._database.unit_of_work() as db:
                # Of two that end at once, each would take the other for still there.
                theirs = sa.tuple_(col(Lease.topic), col(Lease.user_id))
                same = theirs.in_(sa.select(col(Lease.topic), col(Lease.user_id)).where(which))
                await db.exec(select(Lease.id).where(same).order_by(col(Lease.id)).with_for_update())
                ended = await db.scalars(sa.delete(Lease).where(which).returning(Lease))
                for lease in {(each.topic, each.user_id): each for each in ended}.values():
                    if not await _is_there(db, lease):
                        await _tell(db, "left", lease)
        except Exception as error:  # it expires
            log.warning("presence is not ended", error=type(error).__name__)


async def _is_there(db: AsyncSession, lease: Lease) -> bool:
    same = (col(Lease.topic) == lease.topic) & (col(Lease.user_id) == lease.user_id)
    return (await db.exec(select(Lease.id).where(same, col(Lease.expires_at) > now()).limit(1))).first() is not None


async def _tell(db: AsyncSession, kind: str, lease: Lease) -> None:
    await publish(db, lease.topic, Event(kind, {"user_id": str(lease.user_id), "name": lease.name}))
