"""Applying: a connection with a migration's manners, one transaction for each revision, one migrate at a time."""

import asyncio
import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from project.core.db.engine import Database, sqlite_manners
from project.core.db.migrations.history import FOLDER, MigrationError, read

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, MigrationStep

MEMORY = "sqlite+aiosqlite://"
TURN = 6_043_187_220  # our number among PostgreSQL's advisory locks
LOCK_NOT_AVAILABLE, NO_SUCH_DATABASE = "55P03", "3D000"
LOCK_SECONDS = 2.0
LOCK_TRIES = 15
BUSY_SECONDS = 60
Report = Callable[[str], None]
_alembic = threading.Lock()


def _silent(_: str) -> None:
    """Say nothing."""


async def upgrade(database: Database, target: str = "head", **options: Any) -> list[str]:
    """Bring the site's database to `target`; see migrate_database for the options."""
    return await migrate_database(database.url, target, **options)


async def migrate_database(
    url: URL | str,
    target: str = "head",
    *,
    folder: Path = FOLDER,
    fake: bool = False,
    report: Report = _silent,
) -> list[str]:
    """Apply or unapply revisions until the database at this async URL is at `target`; returns their ids.

    Each revision is one transaction: a failing one leaves nothing behind. A second call at the same time
    waits and then finds its work done. `fake` only notes them as applied. Raises MigrationError.
    """
    async with connect(url) as connection:
        await _wait_for_turn(connection, report)
        return await run(connection, target, folder=folder, fake=fake, report=report)


@asynccontextmanager
async def connect(url: URL | str, *, begin: str = "IMMEDIATE") -> AsyncIterator[AsyncConnection]:
    """A connection for migrating: no foreign keys on SQLite (a rebuilt parent would empty its children), short
    waits for locks on PostgreSQL (a waiting ALTER TABLE stops all traffic behind it). Raises MigrationError.
    """
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True)
        pragmas = {"busy_timeout": int(BUSY_SECONDS * 1000), "journal_mode": "WAL", "foreign_keys": "OFF"}
        sqlite_manners(engine, pragmas, begin=begin)
    else:
        limits = {"lock_timeout": f"{int(LOCK_SECONDS * 1000)}ms", "statement_timeout": "0"}
        settings = {"application_name": "uptempo migrate", **limits}
        arguments = {"server_settings": settings}
        engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=arguments)
    try:
        connection = await engine.connect()
    except Exception as error:
        raise MigrationError(_unreachable(url, error)) from error
    try:
        yield connection
    finally:
        await connection.close()


async def run(
    connection: AsyncConnection,
    target: str,
    *,
    folder: Path = FOLDER,
    fake: bool = False,
    report: Report = _silent,
) -> list[str]:
    """Move the connected database to `target`, one transaction for each revision; returns the ids."""
    goal = read(folder).resolve(target)
    moved: list[str] = []
    tries = 0
    runner = _Runner(folder, goal, fake, report)
    while True:
        try:
            async with only_one():
                step = await connection.run_sync(runner.step)
        except Exception as error:
            tries += 1
            if _sqlstate(error) == LOCK_NOT_AVAILABLE and tries < LOCK_TRIES:
                report(" waiting for a lock\n")
                await asyncio.sleep(LOCK_SECONDS / 2)
                continue
            report(" FAILED\n" if runner.current else "")
            raise _refusal(runner.current, error) from error
        if step is None:
            return moved
        moved.append(step)


@asynccontextmanager
async def only_one() -> AsyncIterator[None]:
    """Alembic keeps its context in globals: within a process one run at a time, whatever its loop or thread."""
    while not _alembic.acquire(blocking=False):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        _alembic.release()


class _Runner:
    """Runs one revision at a time, so that each sees what another migrate has done meanwhile."""

    def __init__(self, folder: Path, goal: str, fake: bool, report: Report) -> None:
        from project.core.db.migrations.environment import Environment

        self.environment = Environment(folder)
        self.folder, self.goal, self.fake, self.report = folder, goal, fake, report
        self.current = ""
        self.done: str | None = None

    def step(self, connection: Connection) -> str | None:
        """Run the next revision and return its id; None when there is none."""
        self.current, self.done = "", None
        try:
            self.environment.run(self._next, connection=connection)
        finally:
            connection.rollback()
        return self.done

    def _next(self, heads: tuple[str, ...], _: "MigrationContext") -> Iterator["MigrationStep"]:
        history = read(self.folder)
        for revision, backwards in history.plan(history.applied(heads), self.goal)[:1]:
            self.current = revision.id
            step = self.environment.step(revision.id, backwards)
            if self.fake:
                step.migration_fn = lambda **_: None
            self.report(f"  {'Unapplying' if backwards else 'Applying'} {revision.id}...")
            started = perf_counter()
            yield step  # committed when we come back
            self.report(f" {'FAKED' if self.fake else 'OK'} ({perf_counter() - started:.2f} s)\n")
            self.done = revision.id


async def statements(url: URL | str, name: str, *, backwards: bool = False, folder: Path = FOLDER) -> list[str]:
    """The SQL of one revision for this kind of database, which is neither read nor changed.

    On SQLite the revision is run in memory, since a rebuilt table can only be written down by doing it.
    """
    history = read(folder)
    revision = history.revisions.get(history.resolve(name))
    if revision is None:
        raise MigrationError(f"Name one revision, not {name!r}.", 2)
    if make_url(url).get_backend_name() != "sqlite":
        from project.core.db.migrations.environment import Environment

        environment, buffer = Environment(folder), io.StringIO()
        async with only_one():
            environment.run(
                lambda *_: [environment.step(revision.id, backwards)],
                buffer=buffer,
                as_sql=True,
                starting_rev=revision.id if backwards else revision.parents or None,
            )
        return buffer.getvalue().strip().splitlines()
    found: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if not statement.startswith(("PRAGMA", "SELECT", "BEGIN")):
            found.append(f"{statement.strip()};")

    async with connect(MEMORY) as connection:
        for parent in [revision.id] if backwards else revision.parents:
            await run(connection, parent, folder=folder)
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        if backwards and not revision.parents:
            await run(connection, "zero", folder=folder)
        else:
            await run(connection, revision.parents[0] if backwards else revision.id, folder=folder)
    return found


async def _wait_for_turn(connection: AsyncConnection, report: Report) -> None:
    """Hold PostgreSQL's advisory lock until the connection closes; SQLite's BEGIN IMMEDIATE is its own lock.

    Asked again and again, not waited for: a waiting statement would hold up CREATE INDEX CONCURRENTLY.
    """
    if connection.dialect.name != "postgresql":
        return
    told = False
    while not await connection.scalar(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": TURN}):
        await connection.rollback()
        if not told:
            report("Another migrate is at work; waiting for it to finish.\n")
            told = True
        await asyncio.sleep(0.1)
    await connection.rollback()


def _sqlstate(error: BaseException) -> str:
    return getattr(getattr(error, "orig", error), "sqlstate", None) or ""


def _refusal(current: str, error: Exception) -> MigrationError:
    if isinstance(error, MigrationError):
        return error
    what = f"{current} failed and was rolled back" if current else "Migrating failed"
    reason = str(getattr(error, "orig", error)).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    if _sqlstate(error) == LOCK_NOT_AVAILABLE:
        reason = "something else held a lock on its table for too long; try again in a quieter moment"
    elif reason == "database is locked":
        reason = "another process keeps the database busy; stop it or try again"
    return MigrationError(f"{what}: {reason}.")


def _unreachable(url: URL, error: Exception) -> str:
    if _sqlstate(error) == NO_SUCH_DATABASE:
        flags = {"-h": url.host or url.query.get("host"), "-p": url.port, "-U": url.username}
        options = "".join(f" {flag} {value}" for flag, value in flags.items() if value)
        return f"There is no database {url.database!r} on this server; make it with: createdb{options} {url.database}"
    reason = str(getattr(error, "orig", error)) or type(error).__name__
    return f"The database cannot be reached ({reason}): is it running, and is DATABASE_URL right?"
