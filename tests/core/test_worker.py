"""arq's Worker over the table: rung awake, never in need of Redis, graceful, and started in two ways."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import arq.worker
import pytest
from redis.asyncio import Redis

from project.core import worker as module
from project.core.conf import Settings
from project.core.errors import ConfigurationError
from project.core.jobs import Running, State, job
from project.core.jobs.claiming import Claimed
from project.core.jobs.doorbell import BEAT, MARK
from project.core.jobs.executor import Executor
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.redis_server import RedisServer
from project.core.worker import HEALTH_SECONDS, LOOK_SECONDS, Worker, worker_settings
from tests.core.conftest import INSTALLED
from tests.core.probe import models
from tests.core.test_jobs import ledger, put

SECONDS = 20
Start = Callable[..., AbstractAsyncContextManager[Worker]]


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
async def settings(backend: Databases, make_settings: MakeSettings, server: RedisServer) -> AsyncIterator[Settings]:
    async with backend.copy() as url:
        yield make_settings(DATABASE_URL=url, REDIS_URL=server.url, INSTALLED_APPS=INSTALLED, WORKER_GRACE=0)


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """A web process's: it enqueues and rings."""
    async with Runtime(settings) as runtime:
        await models.create(runtime.database.engine)
        yield runtime


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set by the job "probe.tell"."""
    event = asyncio.Event()

    @job()
    async def tell(running: Running) -> None:
        event.set()

    usual = Executor.__init__

    def knowing(self: Executor, runtime: Runtime, **options: Any) -> None:
        runtime.registry.jobs["probe.tell"] = tell.named("probe")
        usual(self, runtime, **options)

    monkeypatch.setattr(Executor, "__init__", knowing)
    return event


@pytest.fixture
def start(settings: Settings, runtime: Runtime, ran: asyncio.Event) -> Start:
    """Run a worker beside the test."""
    Executor(runtime, concurrency=1)  # tells the web process of "probe.tell", too

    @asynccontextmanager
    async def run(**options: Any) -> AsyncIterator[Worker]:
        made = arq.worker.create_worker(worker_settings(settings, **options), handle_signals=False)
        assert isinstance(made, Worker)
        task = asyncio.create_task(made.async_run())
        try:
            yield made
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await made.close()

    return run


async def told(event: asyncio.Event) -> None:
    with anyio.fail_after(SECONDS):
        await event.wait()


async def until(condition: Callable[[Redis], Awaitable[Any]], runtime: Runtime) -> None:
    """Ask Redis until it is so."""
    with anyio.fail_after(SECONDS):
        async with Redis.from_url(runtime.settings.REDIS_URL.get_secret_value()) as redis:
            while not await condition(redis):  # noqa: ASYNC110 - Redis sets no event of ours
                await asyncio.sleep(0.01)


async def a_worker_waits(redis: Redis) -> bool:
    """Whether one waits for a ring."""
    return any(each["cmd"] == "bzpopmin" for each in await redis.client_list())


async def test_an_enqueued_job_rings_the_worker_awake(
    runtime: Runtime, start: Start, ran: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr("project.core.jobs.executor.BEAT_SECONDS", 3600.0)

    async def nothing(self: Executor) -> float:
        return 3600.0

    monkeypatch.setattr(Executor, "idle_seconds", nothing)
    async with start():
        await until(a_worker_waits, runtime)
        await put(runtime, "probe.tell")
        await told(ran)


async def test_many_rings_leave_one_mark(runtime: Runtime) -> None:
    for number in range(5):
        await put(runtime, "probe.nothing", number=number)
    await until(lambda redis: redis.exists(f"{MARK}default"), runtime)
    async with Redis.from_url(runtime.settings.REDIS_URL.get_secret_value()) as redis:
        assert await redis.zcard(f"{MARK}default") == 1


async def test_redis_dies_and_comes_back_and_nobody_restarts_anything(
    runtime: Runtime, start: Start, ran: asyncio.Event, server: RedisServer
) -> None:
    async with start():
        for act in (server.kill, server.start):
            act()
            ran.clear()
            await put(runtime, "probe.tell")
            await told(ran)
        await until(a_worker_waits, runtime)


@pytest.mark.any_database
async def test_while_redis_hangs_jobs_start_as_soon_as_while_it_is_away(
    runtime: Runtime, start: Start, ran: asyncio.Event, server: RedisServer
) -> None:
    async with start():
        await until(a_worker_waits, runtime)
        server.halt()
        for most in (SECONDS, 7, 7):  # an unbounded ping takes 8
            ran.clear()
            await put(runtime, "probe.tell")
            with anyio.fail_after(most):
                await ran.wait()
        server.go_on()


async def test_a_worker_starts_and_works_without_redis(
    runtime: Runtime, start: Start, ran: asyncio.Event, server: RedisServer
) -> None:
    server.kill()
    async with start():
        await put(runtime, "probe.tell")
        await told(ran)


async def test_an_emptied_redis_loses_no_job(runtime: Runtime, start: Start, ran: asyncio.Event) -> None:
    await put(runtime, "probe.tell")
    async with Redis.from_url(runtime.settings.REDIS_URL.get_secret_value()) as redis:
        await redis.flushall()
    async with start():
        await told(ran)


async def test_a_burst_ends_when_all_is_done(runtime: Runtime, settings: Settings) -> None:
    for number in range(7):
        await put(runtime, "probe.write", key=f"key {number}")
    worker = arq.worker.create_worker(worker_settings(settings, concurrency=2), handle_signals=False, burst=True)
    await worker.async_run()
    await worker.close()
    assert len(await ledger(runtime)) == 7
    assert worker.jobs_complete == 7


async def test_stopping_gives_back_what_runs(runtime: Runtime, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(runtime, "probe.write", key="a", seconds=60)
    began = asyncio.Event()
    usual = Executor.run

    async def run(self: Executor, row: Claimed) -> State | None:
        began.set()
        return await usual(self, row)

    monkeypatch.setattr(Executor, "run", run)
    async with start():
        await told(began)
    row = await Jobs(runtime).only()
    assert (row.state, row.failures, row.deaths) == (State.QUEUED, 0, 0)


async def test_a_worker_may_serve_some_queues_only(runtime: Runtime, start: Start, ran: asyncio.Event) -> None:
    await put(runtime, "probe.slowly")
    async with start(queues=["default"]):
        await put(runtime, "probe.tell")
        await told(ran)
    assert (await Jobs(runtime).only("probe.slowly")).attempt == 0


async def test_arqs_health_check_passes_while_a_worker_runs(runtime: Runtime, start: Start) -> None:
    async with start() as worker:
        await until(a_worker_waits, runtime)
        assert b"j_ongoing=0" in await worker.pool.get(BEAT)
        assert await worker.pool.ttl(BEAT) > HEALTH_SECONDS + LOOK_SECONDS  # the next beat may take so long


def test_without_redis_there_is_no_worker(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match="runs the jobs itself"):
        worker_settings(make_settings())


def test_a_queue_that_no_job_names_is_refused(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match="No job names the queue 'mial'"):
        worker_settings(make_settings(REDIS_URL="redis://127.0.0.1:1/0"), queues=["mial"])
