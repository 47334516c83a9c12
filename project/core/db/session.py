"""The session handlers and services get: SQLModel's, with SQLAlchemy's own `execute` left as it is."""

from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession as SQLAlchemyAsyncSession
from sqlalchemy.orm import ORMExecuteState, Session as SQLAlchemySession
from sqlmodel.ext.asyncio.session import AsyncSession as SQLModelAsyncSession
from sqlmodel.orm.session import Session as SQLModelSession

UNDEFINED_TABLE = "42P01"
REFUSED = "a read-only unit of work cannot write; answer POST, PUT, PATCH or DELETE for that"


class ReadOnlyUnit(RuntimeError):
    """A GET or HEAD request, or another read-only unit of work, tried to write."""


def lacks_table(error: Exception) -> bool:
    """Whether the database says that a table is not there: most likely nobody has migrated it yet."""
    return "no such table" in str(error) or sqlstate(error) == UNDEFINED_TABLE


def sqlstate(error: Exception) -> str:
    """PostgreSQL's five letters for what went wrong, or nothing."""
    original = getattr(error, "orig", None)
    cause = getattr(original, "__cause__", None)
    return str(getattr(cause, "sqlstate", None) or getattr(original, "sqlstate", None) or "")


class _Session(SQLModelSession):
    """SQLModel warns about `execute`; code pasted from any SQLAlchemy tutorial uses it."""

    execute = SQLAlchemySession.execute


class AsyncSession(SQLModelAsyncSession):
    """`await db.exec(select(Post))` for rows of a model; `await db.execute(...)` as SQLAlchemy documents it."""

    sync_session_class = _Session
    execute = SQLAlchemyAsyncSession.execute

    @property
    def changed(self) -> bool:
        """Whether rows wait to be written."""
        return bool(self.new or self.dirty or self.deleted)

    async def connection(self, *args: Any, **options: Any) -> AsyncConnection:
        """The connection itself; what is done with it counts as written."""
        self.info["wrote"] = True
        return await super().connection(*args, **options)

    async def release(self) -> None:
        """Give the connection back before slow work; the rows read so far stay usable.

        A session that has written keeps it: closing would throw the writes away.
        """
        if not self.info.get("wrote") and not self.changed:
            await self.close()


@event.listens_for(_Session, "before_flush")
def _refuse_dirty(session: _Session, *_: Any) -> None:
    if session.info.get("read_only") and (session.new or session.dirty or session.deleted):
        raise ReadOnlyUnit(REFUSED)


@event.listens_for(_Session, "do_orm_execute")
def _refuse_dml(state: ORMExecuteState) -> None:
    if (state.is_insert or state.is_update or state.is_delete) and state.session.info.get("read_only"):
        raise ReadOnlyUnit(REFUSED)
    if not state.is_select:  # SQL as text may write, too
        state.session.info["wrote"] = True


@event.listens_for(_Session, "after_flush")
def _note_writing(session: _Session, *_: Any) -> None:
    session.info["wrote"] = True
