"""The engine and its manners: nobody above this floor has to think of SQLite or PostgreSQL again."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util.concurrency import await_, in_greenlet

from project.core.conf import Settings
from project.core.db.outages import drop, survive_outages
from project.core.db.recording import watch
from project.core.db.session import AsyncSession
from project.core.log import get_logger
from project.core.metrics import Histogram

log = get_logger(__name__)
WAITED = Histogram("db_wait_seconds", "How long a unit of work waited for its database connection.")
WAL_TRIES = 50
_current: ContextVar[tuple[AsyncSession, asyncio.Task[Any] | None] | None] = ContextVar("current_unit", default=None)


class _Pool(AsyncAdaptedQueuePool):
    __module__ = AsyncAdaptedQueuePool.__module__  # where its own log lines go

    def _do_get(self) -> Any:
        began = time.perf_counter()
        try:
            return super()._do_get()
        finally:
            WAITED.observe(time.perf_counter() - began)


class Database:
    """One process's way to the database: sessions come from `unit_of_work` only.

    SQLite has one writer connection per process, so writers queue fairly in memory and not in SQLite's
    polling lock; readers have connections of their own that cannot write.
    """

    def __init__(self, settings: Settings) -> None:
        self.url = make_url(settings.database_url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.info: dict[str, Any] = {}
        self._settings = settings
        if self.is_sqlite:
            self.engine, self.reader = self._sqlite(write=True), self._sqlite(write=False)
        else:
            self.engine = self._postgresql()
            # What only reads needs no transaction: each statement is one of its own, one way to the server and back.
            self.reader = self.engine.execution_options(postgresql_readonly=True, isolation_level="AUTOCOMMIT")
        # Those that have a pool and events of their own.
        self.engines = {"write": self.engine, "read": self.reader} if self.is_sqlite else {"all": self.engine}
        for engine in self.engines.values():
            watch(engine.sync_engine, settings.SLOW_QUERY_MS / 1000)
        self.sessions = {True: self.make_sessions(self.engine), False: self.make_sessions(self.reader)}

    def make_sessions(self, bind: AsyncEngine | AsyncConnection, **options: Any) -> async_sessionmaker[AsyncSession]:
        """Sessions on an engine, or all on one connection as the test kit wants them.

        Each begins with what `info` holds: the queue that `enqueue(db, …)` and the bus that `publish(db, …)` use.
        """
        return async_sessionmaker(bind, class_=AsyncSession, expire_on_commit=False, info=self.info, **options)

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()
        await self.reader.dispose()

    @asynccontextmanager
    async def unit_of_work(self, *, write: bool = True) -> AsyncIterator[AsyncSession]:
        """One transaction: committed at the end, rolled back when anything is raised; on PostgreSQL none for reading.

        The session takes no connection before its first statement. Functions given to `on_commit` run after
        the commit. Raises RuntimeError inside another unit that has begun, since the two could wait for each
        other for ever: nested work is `db.begin_nested()`.
        """
        task, outer = asyncio.current_task(), _current.get()
        asked = task.cancelling() if task else 0
        if outer is not None and outer[1] is task and outer[0].in_transaction():
            raise RuntimeError("a unit of work has begun already: pass its session on, or use db.begin_nested()")
        try:
            async with self.sessions[write]() as session:
                session.info["read_only"] = not write
                token = _current.set((session, task))
                try:
                    yield session
                    if write or session.changed:
                        await session.commit()
                finally:
                    _current.reset(token)
        except Exception as error:
            if task and task.cancelling() > asked:  # a cancelled statement comes back as SQLite's "interrupted"
                raise asyncio.CancelledError from error
            raise
        await run_callbacks(session)

    def _sqlite(self, *, write: bool) -> AsyncEngine:
        if not self.url.database or self.url.database == ":memory:":
            raise ValueError("SQLite needs a file: several connections cannot share one in memory.")
        Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(
            self.url,
            hide_parameters=True,
            poolclass=_Pool,
            pool_size=1 if write else 5,
            max_overflow=0 if write else 5,
            pool_timeout=self._settings.DB_POOL_TIMEOUT,
        )
        pragmas = {
            "synchronous": "NORMAL",
            # A writer has waited for its turn in the pool already; the two waits together are what a visitor sees.
            "busy_timeout": int(self._settings.DB_POOL_TIMEOUT * (400 if write else 1000)),
            "foreign_keys": "ON",
            "query_only": "OFF" if write else "ON",
        }
        sqlite_manners(engine, pragmas, begin="IMMEDIATE" if write else "DEFERRED")
        return engine

    def _postgresql(self) -> AsyncEngine:
        settings = self._settings
        timeout = settings.DB_STATEMENT_TIMEOUT
        engine = create_async_engine(
            self.url,
            hide_parameters=True,
            poolclass=_Pool,
            pool_size=settings.DB_POOL_SIZE,
            max_overflow=settings.DB_POOL_OVERFLOW,
            pool_timeout=settings.DB_POOL_TIMEOUT,
            connect_args={
                "timeout": settings.DB_POOL_TIMEOUT / 2,
                "command_timeout": timeout + 0.5,  # for a server that hangs; one that lives ends the statement itself
                "server_settings": {
                    "application_name": "uptempo",
                    "statement_timeout": str(int(timeout * 1000)),
                    "idle_in_transaction_session_timeout": str(int((timeout + 5) * 1000)),
                    "default_transaction_read_only": "on",
                },
            },
        )
        survive_outages(engine)
        begin_writing(engine)
        return engine


def begin_writing(engine: AsyncEngine) -> None:
    """Let a transaction write that is not of a reading unit: connections cannot, unless their transaction says so."""

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        if not connection.get_execution_options().get("postgresql_readonly"):
            cursor = connection.connection.cursor()
            try:
                cursor.execute("SET TRANSACTION READ WRITE")
            except Exception as error:  # SQLAlchemy, past which this is said, neither wraps it nor lets go
                drop(connection.connection)
                connection.invalidate(error)
                raise ConnectionError(str(error)) from error
            cursor.close()


def sqlite_manners(engine: AsyncEngine, pragmas: dict[str, Any], *, begin: str) -> None:
    """Set the pragmas on each new connection and begin transactions ourselves.

    Python's driver begins late and never for reads; left to it, savepoints break and concurrent
    read-modify-writes lose updates without an error.
    """

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(dbapi: Any, _: Any) -> None:
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        _enter_wal(cursor)
        for name, value in pragmas.items():
            cursor.execute(f"PRAGMA {name}={value}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "reset")
    def _reset(dbapi: Any, _: Any, state: Any) -> None:
        # A COMMIT that fails on a deferred constraint leaves the transaction open, and the pool takes it for ended.
        if not state.terminate_only and state.asyncio_safe:
            dbapi.rollback()

    @event.listens_for(engine.sync_engine, "invalidate")
    def _abandon(dbapi: Any, *_: Any) -> None:
        # A cancelled statement would run on in its thread, and its transaction keep the only write lock.
        if (connection := getattr(dbapi.driver_connection, "_conn", None)) is not None:
            connection.interrupt()
            if in_greenlet():
                dbapi.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql(f"BEGIN {begin}")


def _enter_wal(cursor: Any) -> None:
    """Let readers and the writer work side by side. The file remembers it, so only the first connection switches.

    Switching does not wait for busy_timeout: two first starts at once would clash.
    """
    for tries_left in reversed(range(WAL_TRIES)):
        cursor.execute("PRAGMA journal_mode")
        if cursor.fetchone()[0] in ("wal", "memory"):
            return
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if not tries_left:
                raise
            await_(asyncio.sleep(0.1))


def on_commit(db: AsyncSession, callback: Callable[[], Awaitable[None]]) -> None:
    """Run `callback` once after the unit of work that `db` belongs to has committed; never after a rollback.

    What it raises is logged and changes nothing: the data is saved already.
    """
    db.info.setdefault("on_commit", []).append(callback)


async def run_callbacks(db: AsyncSession) -> None:
    """Run what `on_commit` was given; for whoever commits a session that is no unit of work."""
    for callback in db.info.pop("on_commit", []):
        try:
            await callback()
        except Exception:
            log.exception("on_commit failed", callback=getattr(callback, "__qualname__", repr(callback)))
