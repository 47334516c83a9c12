"""arq's Worker with the job table as its store: its loop, slots, tasks, signals, hooks and health check; our rows.

arq's own messages are pickles, tried once, and back only after 310 seconds when their worker dies. A row is none of
that, so this worker takes rows where arq takes messages (`start_jobs`), and waits for a ring where arq polls
(`heart_beat`). `manage.py worker` and `arq project.worker.WorkerSettings` both run it.
"""

import asyncio
import json
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import arq.worker
from arq.connections import ArqRedis
from redis.exceptions import RedisError

from project.core.conf import Settings
from project.core.errors import ConfigurationError
from project.core.jobs.claiming import Claimed
from project.core.jobs.doorbell import BEAT, MARK
from project.core.jobs.executor import AWAY, Executor
from project.core.jobs.table import State
from project.core.log import configured, get_logger
from project.core.redis import TIMEOUT, connect
from project.core.reporting import reporting
from project.core.runtime import Runtime

log = get_logger(__name__)
QUEUE = "uptempo:jobs"
LOOK_SECONDS = 5.0  # the longest time without a look at the table, whoever rings or not
SHORTEST = 0.02  # what another worker is just claiming looks due; and for Redis 0 would mean for ever
HEALTH_SECONDS = 10
BEAT_SECONDS = 20  # that the last beat is believed: longer than two beats are apart, a look at the table between them
GONE = (RedisError, OSError, TimeoutError)


class Worker(arq.worker.Worker):
    """Made by arq from what `worker_settings` gives; never by hand."""

    _idle = 0.0

    @property
    def executor(self) -> Executor:
        """What claims and runs the rows; there once the start-up hook has run."""
        found: Executor = self.ctx["executor"]
        return found

    async def main(self) -> None:
        """arq's loop; while Redis is away, looks at the table instead of waiting for rings, and nobody restarts it."""
        if self.on_startup:  # before arq asks Redis: jobs do not need it
            await self.on_startup(self.ctx)
            self.on_startup = None
        while True:
            try:
                return await super().main()
            except GONE as error:
                log.warning("Redis is away; the worker looks at the table", error=type(error).__name__)
            while not await self._redis_answers():
                if self.allow_pick_jobs:
                    await self.start_jobs([])
                await asyncio.sleep(1)
            log.info("Redis is back")

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim due rows for the free slots, and start them."""
        room = self.max_jobs - self.job_counter
        try:
            rows = await self.executor.claim(room) if room else []
            for row in rows:
                await self.sem.acquire()
                self.job_counter += 1
                task = self.tasks[f"{row.id} {row.attempt}"] = asyncio.create_task(self._run_row(row))
                task.add_done_callback(partial(self._end_row, row))
            self._idle = 0 if len(rows) == room else max(SHORTEST, await self.executor.idle_seconds())
        except AWAY as error:
            log.warning("the database is away; the worker waits", error=type(error).__name__)
            self._idle = 1
            return
        if rows and len(rows) == room:
            for queue in self.executor.queues:  # there may be more, for another worker
                self.executor.runtime.queue.bell.ring(queue)

    async def heart_beat(self) -> None:
        """arq's heart-beat, then wait: for a free slot, for a ring, or until something is due."""
        await super().heart_beat()
        if self.burst:
            while self.tasks:
                await asyncio.wait(self.tasks.values())
                await self.start_jobs([])
        elif not self.allow_pick_jobs:
            await asyncio.sleep(0.1)
        elif self.job_counter >= self.max_jobs:
            await asyncio.wait(self.tasks.values(), timeout=1, return_when=asyncio.FIRST_COMPLETED)
        elif self._idle:
            marks = [f"{MARK}{queue}" for queue in self.executor.queues]
            await self.pool.bzpopmin(marks, timeout=min(self._idle, LOOK_SECONDS))

    async def record_health(self) -> None:
        """arq's, which would forget a worker that waits for a ring."""
        before = self._last_health_check
        await super().record_health()
        if self._last_health_check != before:
            await self.pool.expire(self.health_check_key, BEAT_SECONDS)

    async def _run_row(self, row: Claimed) -> None:
        with suppress(asyncio.CancelledError):
            match await self.executor.run(row):
                case State.DONE:
                    self.jobs_complete += 1
                case State.DEAD | State.CANCELLED:
                    self.jobs_failed += 1
                case State.QUEUED:
                    self.jobs_retried += 1

    def _end_row(self, row: Claimed, _: asyncio.Task[None]) -> None:
        self.tasks.pop(f"{row.id} {row.attempt}", None)
        self.job_counter -= 1
        self.sem.release()

    async def _redis_answers(self) -> bool:
        with suppress(*GONE):
            async with asyncio.timeout(TIMEOUT):  # the pool's own is as long as a wait for a ring
                return bool(await self.pool.ping())
        return False

    async def close(self) -> None:
        """Let what was cancelled go back, then run the shutdown hook, whether Redis is there or not."""
        if not self._handle_signals:
            self.handle_sig(signal.SIGUSR1)
        await asyncio.gather(*self.tasks.values())
        if self.on_shutdown:
            await self.on_shutdown(self.ctx)
        await self.pool.aclose(close_connection_pool=True)


arq.worker.Worker = Worker  # type: ignore[misc]  # arq's command line makes its workers by that name


def _as_json(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode()


def worker_settings(settings: Settings, *, queues: Sequence[str] = (), concurrency: int | None = None) -> type[Any]:
    """The class that `arq` reads its options from; raises ConfigurationError when there is no Redis.

    Args:
        queues: the only ones to serve; all that jobs name, when empty.
        concurrency: rows at once; WORKER_CONCURRENCY when left out.
    """
    if not settings.REDIS_URL.get_secret_value():
        raise ConfigurationError("REDIS_URL is not set, so the site runs the jobs itself and needs no worker.")
    runtime = Runtime(settings)
    room = concurrency or settings.WORKER_CONCURRENCY
    known = {each.queue for each in runtime.registry.jobs.values()} | {"default"}
    if strange := sorted(set(queues) - known):
        raise ConfigurationError(f"No job names the queue {strange[0]!r}; there are: {', '.join(sorted(known))}.")

    async def start(ctx: dict[str, Any]) -> None:
        opened = ctx["opened"] = AsyncExitStack()
        opened.enter_context(configured(settings))
        await opened.enter_async_context(runtime)
        await opened.enter_async_context(reporting(runtime, "worker"))
        ctx["executor"] = executor = Executor(runtime, concurrency=room, queues=queues or None)
        beat = asyncio.create_task(executor.beat())
        opened.callback(beat.cancel)
        log.info("worker ready", queues=executor.queues, concurrency=room)

    async def end(ctx: dict[str, Any]) -> None:
        await ctx["opened"].aclose()

    async def from_the_table(ctx: dict[str, Any]) -> None:
        """What arq lists; rows are never run through a message."""

    longest = connect(settings.REDIS_URL, socket_timeout=LOOK_SECONDS + 3)
    options = {
        "functions": [arq.worker.func(from_the_table, name=name) for name in runtime.registry.jobs],
        "queue_name": QUEUE,
        "redis_pool": ArqRedis(longest.connection_pool, _as_json, json.loads),
        "on_startup": start,
        "on_shutdown": end,
        "max_jobs": room,
        "poll_delay": 0,
        "health_check_interval": HEALTH_SECONDS,
        "health_check_key": BEAT,
        "job_completion_wait": round(settings.WORKER_GRACE),
        "job_serializer": _as_json,
        "job_deserializer": json.loads,
    }
    return type("WorkerSettings", (), options)
