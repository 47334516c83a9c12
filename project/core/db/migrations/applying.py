"""Applying: a connection with a migration's manners, one transaction for each revision, one migrate at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from project.core.db.engine import sqlite_manners
from project.core.db.migrations.history import FOLDER, MigrationError, database_heads, read

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationStep

    from project.core.db.migrations.environment import Environment

MEMORY = "sqlite+aiosqlite://"
TURN = 6_043_187_220  # our number among PostgreSQL's advisory locks
LOCK_NOT_AVAILABLE, NO_SUCH_DATABASE = "55P03", "3D000"
LOCK_SECONDS, LOCK_TRIES = 2.0, 15
SQLITE = {"busy_timeout": 60_000, "foreign_keys": "OFF"}
Report = Callable[[str], None]
_alembic = threading.Lock()


def _silent(_: str) -> None:
    """Say nothing."""


async def migrate_database(
    url: URL | str, target: str = "head", *, folder: Path = FOLDER, fake: bool = False, report: Report = _silent
) -> list[str]:
    """Apply or unapply revisions until the database at this async URL is at `target`; returns their ids.

    Each revision is one transaction: a failing one leaves nothing behind. A second call at the same time
    waits and then finds its work done. `fake` only notes them as applied. Raises MigrationError.
    """
    async with connect(url) as connection:
        await _wait_for_turn(connection, report)
        return await Run(connection, folder, fake, report).to(target)


async def applied(url: URL | str, folder: Path = FOLDER) -> set[str]:
    """The revisions the database has; nobody waits for this look. Raises MigrationError."""
    async with connect(url, begin="DEFERRED") as connection:
        return read(folder).applied(await connection.run_sync(database_heads))


@asynccontextmanager
async def connect(url: URL | str, *, begin: str = "IMMEDIATE") -> AsyncIterator[AsyncConnection]:
    """A connection for migrating: no foreign keys on SQLite (a rebuilt parent would empty its children), short
    waits for locks on PostgreSQL (a waiting ALTER TABLE stops all traffic behind it). Raises MigrationError.
    """
    url = make_url(url)
    limits = {"lock_timeout": f"{int(LOCK_SECONDS * 1000)}ms", "statement_timeout": "0"}
    arguments = {} if is_sqlite(url) else {"server_settings": limits | {"application_name": "uptempo migrate"}}
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    if is_sqlite(url):
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        sqlite_manners(engine, SQLITE, begin=begin)
    try:
        connection = await engine.connect()
    except Exception as error:
        raise MigrationError(_unreachable(url, error)) from error
    async with aclosing(connection):
        yield connection


def is_sqlite(url: URL | str) -> bool:
    """Whether the URL is one of SQLite's."""
    return make_url(url).get_backend_name() == "sqlite"


@asynccontextmanager
async def only_one() -> AsyncIterator[None]:
    """Alembic keeps its context in globals: within a process one run at a time, whatever its loop or thread."""
    while not _alembic.acquire(blocking=False):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _alembic.release()


@dataclass
class Run:
    """Runs one revision at a time, so that each sees what another migrate has done meanwhile."""

    connection: AsyncConnection
    folder: Path = FOLDER
    fake: bool = False
    report: Report = _silent
    current: str = field(default="", init=False)

    async def to(self, target: str) -> list[str]:
        """Move the connected database to `target`, one transaction for each revision; returns the ids."""
        from project.core.db.migrations.environment import Environment

        goal, environment, tries = read(self.folder).resolve(target), Environment(self.folder), 0
        moved: list[str] = []
        while True:
            try:
                async with only_one():
                    await self.connection.run_sync(self._step, environment, goal)
            except Exception as error:
                tries += 1
                if _sqlstate(error) != LOCK_NOT_AVAILABLE or tries == LOCK_TRIES:
                    self.report(" FAILED\n" if self.current else "")
                    raise _refusal(self.current, error) from error
                self.report(" waiting for a lock\n")
                await asyncio.sleep(LOCK_SECONDS / 2)
                continue
            if not self.current:
                return moved
            moved.append(self.current)

    def _step(self, connection: Connection, environment: "Environment", goal: str) -> None:
        """Run the next revision; `current` is its id, or "" when there is none."""
        self.current = ""

        def steps(heads: tuple[str, ...], _: Any) -> Iterator["MigrationStep"]:
            history = read(self.folder)
            for revision, backwards in history.plan(history.applied(heads), goal)[:1]:
                self.current, started = revision.id, perf_counter()
                step = environment.step(revision.id, backwards)
                if self.fake:
                    step.migration_fn = lambda **_: None
                self.report(f"  {'Unapplying' if backwards else 'Applying'} {revision.id}...")
                yield step  # committed when we come back
                self.report(f" {'FAKED' if self.fake else 'OK'} ({perf_counter() - started:.2f} s)\n")

        try:
            environment.run(steps, connection)
        finally:
            connection.rollback()


async def statements(url: URL | str, name: str, *, backwards: bool = False, folder: Path = FOLDER) -> list[str]:
    """The SQL of one revision for this kind of database, which is neither read nor changed.

    On SQLite the revision is run in memory, since a rebuilt table can only be written down by doing it.
    """
    history = read(folder)
    revision = history.revisions.get(history.resolve(name))
    if revision is None:
        raise MigrationError(f"Name one revision, not {name!r}.", 2)
    if not is_sqlite(url):
        from project.core.db.migrations.environment import Environment

        environment, start = Environment(folder), revision.id if backwards else revision.parents or None
        async with only_one():
            steps = [environment.step(revision.id, backwards)]
            environment.run(lambda *_: steps, None, as_sql=True, starting_rev=start)
        return environment.written.getvalue().strip().splitlines()
    found: list[str] = []

    async with connect(MEMORY) as connection:
        run = Run(connection, folder)

        def note(_: Any, __: Any, statement: str, *___: Any) -> None:
            if run.current == revision.id and not statement.startswith(("PRAGMA", "SELECT", "BEGIN")):
                found.append(f"{statement.strip()};")

        if backwards:
            await run.to(revision.id)
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        await run.to("zero" if backwards else revision.id)
    return found


async def _wait_for_turn(connection: AsyncConnection, report: Report) -> None:
    """Hold PostgreSQL's advisory lock until the connection closes; SQLite's BEGIN IMMEDIATE is its own lock.

    Asked again and again, not waited for: a waiting statement would hold up CREATE INDEX CONCURRENTLY.
    """
    if connection.dialect.name != "postgresql":
        return
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": TURN}):
        await connection.rollback()
        report("Another migrate is at work; waiting for it to finish.\n")
        report = _silent
        await asyncio.sleep(0.1)
    await connection.rollback()


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, without the SQL that SQLAlchemy adds."""
    wrapped: BaseException | None = getattr(error, "orig", None)
    return error if wrapped is None else wrapped.__cause__ or wrapped


def _sqlstate(error: BaseException) -> str:
    return getattr(_cause(error), "sqlstate", None) or ""


def _reason(error: BaseException) -> str:
    return str(_cause(error)).strip().partition("\n")[0].rstrip(".") or type(error).__name__


def _refusal(current: str, error: Exception) -> MigrationError:
    if isinstance(error, MigrationError):
        return error
    what, reason = f"{current} failed and was rolled back" if current else "Migrating failed", _reason(error)
    if _sqlstate(error) == LOCK_NOT_AVAILABLE:
        reason = "something else held a lock on its table for too long; try again in a quieter moment"
    elif reason == "database is locked":
        reason = "another process keeps the database busy; stop it or try again"
    return MigrationError(f"{what}: {reason}.")


def _unreachable(url: URL, error: Exception) -> str:
    if _sqlstate(error) == NO_SUCH_DATABASE:
        return f"There is no database {url.database!r} on this server; make it with: createdb {url.database}"
    return f"The database cannot be reached ({_reason(error)}): is it running, and is DATABASE_URL right?"
