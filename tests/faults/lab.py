"""What the fault scripts share: the site in processes of its own, its throw-away database and Redis, and the report.

Run by hand: .venv/bin/python -m tests.faults.kills [scenario ...]; TEST_DATABASE_URL names a PostgreSQL server.
Everything listens on the loopback interface only; every process is started here and ended by its id.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx2
import sqlalchemy as sa
from sqlmodel import col, select

from project.core.jobs import Job, State, enqueue
from project.core.jobs.table import ACTIVE
from project.core.runtime import Runtime
from project.core.testing.databases import PostgresDatabases, SQLiteFiles, postgresql_server
from project.core.testing.redis_server import RedisServer
from project.settings import Settings
from tests.core.probe import models
from tests.core.probe.models import Ledger
from tests.faults.report import Report

ROOT = Path(__file__).resolve().parents[2]
APPS = "project,apps.accounts,tests.core.probe"
START_SECONDS = 30
LOOK_SECONDS = 0.05
RUNNING = col(Job.state) == State.RUNNING
DONE = col(Job.state) == State.DONE
DEAD = col(Job.state) == State.DEAD
SCRIPTS = ~col(Job.name).startswith("core.")  # core's own cron tasks come when they come
VISITORS = 20
VISITORS_PAUSE = 0.3


class Process:
    """A process that was started here; what it says is in the log file."""

    def __init__(self, words: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as said:
            self.popen = subprocess.Popen(words, cwd=ROOT, env=env, process_group=0, stdout=said, stderr=said)
        self.pid = self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    def signal(self, number: Signals) -> None:
        """Send it a signal, to this one process only."""
        self.popen.send_signal(number)

    async def end(self, number: Signals) -> int:
        """Send a signal that ends it; returns its exit code."""
        self.signal(number)
        async with asyncio.timeout(START_SECONDS):
            return await asyncio.to_thread(self.popen.wait)

    def close(self) -> None:
        """Kill whatever is left of it and of what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)
        self.popen.wait()


class Web(Process):
    """`manage.py runserver`, its address, and how long its start took."""

    url = ""
    seconds = 0.0  # until it answered


P = TypeVar("P", bound=Process)


class Visits:
    """What visitors have seen: the seconds each request took, what was answered, which keys were accepted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.answers: Counter[int | str] = Counter()
        self.accepted: list[str] = []

    @property
    def p99(self) -> float:
        """The slowest but one percent, in seconds."""
        return statistics.quantiles(self.seconds, n=100)[98]


class Lab:
    """A site: its settings as an environment, an entered Runtime of the script's own, its Redis and its processes."""

    def __init__(self, folder: Path, env: dict[str, str], redis: RedisServer, runtime: Runtime) -> None:
        self.folder = folder
        self.env = env
        self.redis = redis
        self.runtime = runtime
        self.processes: list[Process] = []
        self._numbers = itertools.count(1)

    async def worker(self, *, arq: bool = False, **env: str) -> Process:
        """Start `manage.py worker`, or arq's own command with this site's WorkerSettings."""
        words = ["-m", "arq", "project.worker.WorkerSettings"] if arq else ["manage.py", "worker"]
        return self.start(Process, words, env)

    async def web(self, **env: str) -> Web:
        """Start `manage.py runserver --noreload` and wait until it answers."""
        port = free_port()
        web = self.start(Web, ["manage.py", "runserver", str(port), "--noreload"], env)
        web.url = f"http://127.0.0.1:{port}"
        web.seconds = await until(lambda: answers(port) or not web.alive, START_SECONDS)
        if not web.alive:
            raise RuntimeError(web.log.read_text()[-2000:])
        return web

    def start(self, kind: type[P], words: list[str], env: dict[str, str]) -> P:
        """Start a process of the site by the words after "python"."""
        log = self.folder / f"{next(self._numbers)} {words[1]}"
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

    @contextlib.asynccontextmanager
    async def visitors(self, web: Web, seconds: float = 0) -> AsyncIterator[Visits]:
        """While this is open 20 visitors post jobs of so many seconds, each again after its answer and a pause."""
        visits, closing = Visits(), asyncio.Event()
        limits = httpx2.Limits(max_connections=VISITORS)
        async with (
            httpx2.AsyncClient(base_url=web.url, timeout=30, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for _ in range(VISITORS):
                group.create_task(_visit(client, visits, closing, seconds))
            yield visits
            closing.set()


async def _visit(client: httpx2.AsyncClient, visits: Visits, closing: asyncio.Event, seconds: float) -> None:
    while not closing.is_set():
        key, started = uuid4().hex, time.perf_counter()
        try:
            response = await client.post("/api/v1/probe/jobs", params={"key": key, "seconds": seconds})
            answer: int | str = response.status_code
        except httpx2.TransportError as error:
            answer = type(error).__name__
        visits.seconds.append(time.perf_counter() - started)
        visits.answers[answer] += 1
        if answer == 202:
            visits.accepted.append(key)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(VISITORS_PAUSE):
                await closing.wait()


@contextlib.asynccontextmanager
async def lab(kind: str, *, redis: bool, started: bool = True, **env: str) -> AsyncIterator[Lab]:
    """A site on a database of its own ("postgresql" or "sqlite"), with the probe app; settings are given by name."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        databases = SQLiteFiles(folder) if kind == "sqlite" else PostgresDatabases(postgresql_server()[0])
        await databases.open()
        stack.push_async_callback(databases.close)
        server = RedisServer()
        stack.callback(server.kill)
        if redis and started:
            server.start()
        settings = {
            "DEBUG": "false",
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DATABASE_URL": await stack.enter_async_context(databases.copy()),
            "REDIS_URL": server.url if redis else "",
            "DATA_DIR": str(folder),
            "INSTALLED_APPS": APPS,
            "LOG_LEVEL": "WARNING",
            **env,
        }
        make: Callable[..., Settings] = Settings
        runtime = await stack.enter_async_context(Runtime(make(_env_file=None, **settings)))
        await models.create(runtime.database.engine)
        site = Lab(folder, os.environ | settings | {"MANAGE_NO_BOOTSTRAP": "1"}, server, runtime)
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
