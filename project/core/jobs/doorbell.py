"""The bell between processes: a mark in Redis for each queue that has work, taken by one waiting worker.

The marks are only that. A lost one costs a worker's next look at the table, never a job.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from project.core.log import get_logger
from project.core.redis import connect

log = get_logger(__name__)
MARK = "uptempo:ring:"
BEAT = "uptempo:jobs:health-check"  # a key that is there while a worker lives
LAST_RING_SECONDS = 1.0


class Doorbell:
    """Rings through Redis from a task of its own, so that nobody who enqueues ever waits for Redis."""

    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._queues: set[str] = set()
        self._rung = asyncio.Event()

    def ring(self, queue: str) -> None:
        """Leave a mark for this queue soon; several rings at once are one mark."""
        self._queues.add(queue)
        self._rung.set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Ring while this is open; what was rung at the very end is still passed on."""
        redis = connect(self._url)
        task = asyncio.create_task(self._pass_on(redis))
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                async with asyncio.timeout(LAST_RING_SECONDS):
                    await self._mark(redis)
            await redis.aclose()

    async def _pass_on(self, redis: Redis) -> None:
        away = False
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                await self._mark(redis)
                away = False
            except (RedisError, OSError) as error:
                if not away:
                    log.warning("Redis is away; workers look at the table by themselves", error=type(error).__name__)
                away = True

    async def _mark(self, redis: Redis) -> None:
        queues, self._queues = self._queues, set()
        if queues:
            async with redis.pipeline(transaction=False) as pipe:
                for queue in queues:
                    pipe.zadd(f"{MARK}{queue}", {"ring": 0})
                await pipe.execute()
