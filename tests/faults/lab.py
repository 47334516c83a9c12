"""What the fault scripts share: the site in processes of its own, its throw-away database and Redis, and the report.

Run by hand: .venv/bin/python -m tests.faults.kills [scenario ...]; TEST_DATABASE_URL names a PostgreSQL server.
Everything listens on the loopback interface only; every process is started here and ended by its id.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts.identity import cookie_name
from apps.accounts.manager import UserManager
from apps.accounts.models import User
from apps.accounts.services import open_browser_session
from project.core.jobs import Job, State, enqueue
from project.core.jobs.table import ACTIVE
from project.core.runtime import Runtime
from project.core.testing.databases import PostgresDatabases, SQLiteFiles, postgresql_server
from project.core.testing.redis_server import RedisServer
from project.settings import Settings
from tests.core.probe import models
from tests.core.probe.models import Ledger, Note
from tests.faults.ledger import Visits, posting, visitors
from tests.faults.processes import Process, Served, Web
from tests.faults.report import Report

APPS = "project,apps.accounts,tests.core.probe"
START_SECONDS = 120
LOOK_SECONDS = 0.05
RUNNING = col(Job.state) == State.RUNNING
DONE = col(Job.state) == State.DONE
DEAD = col(Job.state) == State.DEAD
SCRIPTS = ~col(Job.name).startswith("core.")  # core's own cron tasks come when they come
KEY_LENGTH = 32


P = TypeVar("P", bound=Process)
W = TypeVar("W", bound=Web)


class Lab:
    """A site: its settings as an environment, an entered Runtime of the script's own, its Redis and its processes."""

    def __init__(self, folder: Path, env: dict[str, str], redis: RedisServer, runtime: Runtime) -> None:
        self.folder = folder
        self.env = env
        self.redis = redis
        self.runtime = runtime
        self.processes: list[Process] = []
        self.log: Path | None = None  # what is said goes there, in place of a file for each process
        self._numbers = itertools.count(1)

    async def worker(self, *, arq: bool = False, **env: str) -> Process:
        """Start `manage.py worker`, or arq's own command with this site's WorkerSettings."""
        words = ["-m", "arq", "project.worker.WorkerSettings"] if arq else ["manage.py", "worker"]
        return self.start(Process, words, env)

    async def web(self, **env: str) -> Web:
        """Start `manage.py runserver --noreload` and wait until it answers."""
        return await self._listening(Web, lambda port: ["runserver", str(port), "--noreload"], env)

    async def serve(self, *options: str, count: int = 2, **env: str) -> Served:
        """Start `manage.py serve` with so many processes and wait until each of them is ready."""
        words = ["--workers", str(count), *options]
        env = {"LOG_LEVEL": "INFO"} | env
        site = await self._listening(Served, lambda port: ["serve", "--bind", f"127.0.0.1:{port}", *words], env)
        if not self.log:
            site.seconds += await until(lambda: site.has_started(count), START_SECONDS)
        return site

    async def _listening(self, kind: type[W], words: Callable[[int], list[str]], env: dict[str, str]) -> W:
        port = free_port()
        web = self.start(kind, ["manage.py", *words(port)], env)
        web.url = f"http://127.0.0.1:{port}"
        web.seconds = await until(lambda: answers(port) or not web.alive, START_SECONDS)
        if not web.alive:
            raise RuntimeError(web.log.read_text()[-2000:])
        return web

    def start(self, kind: type[P], words: list[str], env: dict[str, str]) -> P:
        """Start a process of the site by the words after "python"."""
        log = self.log or self.folder / f"{next(self._numbers)} {words[1]}"
        process = kind([sys.executable, *words], self.env | env, log)
        self.processes.append(process)
        return process

    async def enqueue(self, name: str, *arguments: dict[str, Any], owner: UUID | None = None) -> list[UUID]:
        """Enqueue one job for each set of arguments, in one transaction."""
        async with self.runtime.unit_of_work() as db:
            return [await enqueue(db, name, owner=owner, **each) for each in arguments]

    async def count(self, *where: sa.ColumnElement[bool]) -> int:
        """How many jobs of the script fit."""
        async with self.runtime.unit_of_work(write=False) as db:
            return (await db.exec(select(sa.func.count()).select_from(Job).where(SCRIPTS, *where))).one()

    async def any(self, *where: sa.ColumnElement[bool]) -> bool:
        """Whether a job of the script fits."""
        return await self.count(*where) > 0

    async def jobs(self, *where: sa.ColumnElement[bool]) -> list[Job]:
        """The jobs of the script that fit, oldest first."""
        async with self.runtime.unit_of_work(write=False) as db:
            return list((await db.exec(select(Job).where(SCRIPTS, *where).order_by(col(Job.id)))).all())

    async def effects(self) -> Counter[str]:
        """How often each key took effect (see the probe's job `mark`)."""
        async with self.runtime.unit_of_work(write=False) as db:
            return Counter(key.rpartition(" ")[0] for key in (await db.execute(select(Ledger.key))).scalars())

    async def until_ended(self, seconds: float) -> float:
        """Wait until no job waits or runs; returns how long that took."""

        async def ended() -> bool:
            return not await self.any(ACTIVE)

        return await until(ended, seconds)

    async def demand_each_once(self, report: Report, accepted: Collection[str]) -> None:
        """Demand that each key that was accepted took effect, and none of them twice."""
        seen = await self.effects()
        report.equal("accepted jobs without effect (lost)", 0, len(set(accepted) - set(seen)))
        report.equal("effects too many (doubled)", 0, seen.total() - len(seen))
        report.equal("dead letters", 0, await self.count(DEAD))

    async def demand_entries(self, report: Report, visits: Visits) -> None:
        """Demand of the strained app's entries: each acknowledged one is there once, none of them by half."""
        key = sa.func.substr(Note.body, 1, KEY_LENGTH)
        async with self.runtime.unit_of_work(write=False) as db:
            rows = await db.execute(sa.select(key, sa.func.count(), sa.func.count(Note.state.distinct())).group_by(key))
            seen = {name: (count, kinds) for name, count, kinds in rows}
        report.note("entries acknowledged", len(visits.accepted))
        report.equal("acknowledged and absent (lost)", 0, len(set(visits.accepted) - set(seen)))
        report.equal("written by half", 0, sum(each == (1, 1) for each in seen.values()))
        report.equal("written twice", 0, sum(each not in ((1, 1), (2, 2)) for each in seen.values()))

    def visitors(self, web: Web, seconds: float = 0) -> AbstractAsyncContextManager[Visits]:
        """While this is open 20 visitors post jobs of so many seconds, each again after its answer and a pause."""
        return visitors(web.url, posting("/api/v1/probe/jobs", seconds=seconds))

    async def cookie(self, user: User | None = None) -> str:
        """A session of this person, or of a new one, as a Cookie header."""
        conn = HTTPConnection({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
        user = user or User(email="ann@example.com", name="Ann", hashed_password="-")
        async with self.runtime.unit_of_work() as db:
            db.add(user)
            await db.flush()
            token, _ = await open_browser_session(UserManager(db, self.runtime), conn, user)
        return f"{cookie_name(self.runtime)}={token}"


@contextlib.asynccontextmanager
async def lab(
    kind: str, *, redis: bool, started: bool = True, server: str = "", place: Path | None = None, **env: str
) -> AsyncIterator[Lab]:
    """A site on a database of its own ("postgresql" or "sqlite"), with the probe app; settings are given by name.

    Args:
        server: the PostgreSQL server; that of the tests when left out.
        place: the folder of SQLite's file; a temporary one when left out.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        databases = (
            SQLiteFiles(place or folder) if kind == "sqlite" else PostgresDatabases(server or postgresql_server()[0])
        )
        await databases.open()
        stack.push_async_callback(databases.close)
        redis_server = RedisServer()
        stack.callback(redis_server.kill)
        if redis and started:
            redis_server.start()
        settings = {
            "DEBUG": "false",
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DATABASE_URL": await stack.enter_async_context(databases.copy()),
            "REDIS_URL": redis_server.url if redis else "",
            "DATA_DIR": str(folder),
            "INSTALLED_APPS": APPS,
            "LOG_LEVEL": "WARNING",
            **env,
        }
        make: Callable[..., Settings] = Settings
        runtime = await stack.enter_async_context(Runtime(make(_env_file=None, **settings)))
        await models.create(runtime.database.engine)
        site = Lab(folder, os.environ | settings | {"MANAGE_NO_BOOTSTRAP": "1"}, redis_server, runtime)
        try:
            yield site
        finally:
            for process in site.processes:
                process.close()


async def until(holds: Callable[[], bool | Awaitable[bool]], seconds: float, pause: float = LOOK_SECONDS) -> float:
    """Look again and again until it holds; returns how long that took, raises TimeoutError."""
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return time.monotonic() - started
            await asyncio.sleep(pause)


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def keys(count: int, word: str = "job") -> list[str]:
    """So many names for effects."""
    return [f"{word}-{number}" for number in range(count)]
