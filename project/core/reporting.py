"""Reporting: what a process tells of itself while it runs, to /metrics and to the other processes of the site.

With Redis, whichever process is asked answers for all of them, workers included: each leaves its figures there every
ten seconds, under its own label `process`. Without Redis a site is one process.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

from project.core.metrics import Figures, Gauge, figures
from project.core.redis import connect
from project.core.runtime import Runtime
from project.core.tracing import tracing
from project.core.watchdog import watched

KEY = "uptempo:metrics"
SECONDS = 10.0
KEPT = 35  # seconds after which a process that says nothing has ended
AWAY = (RedisError, OSError, TimeoutError)
IN_USE = Gauge("db_connections_in_use", "Database connections that are lent.", "pool")
SIZE = Gauge("db_connections_kept", "Database connections that the pool keeps; at peaks there are more.", "pool")
OPEN = Gauge("connections_open", "Streams and sockets that are open.", "kind")


class Report:
    """The figures of this process, and of the others."""

    def __init__(self, runtime: Runtime, kind: str) -> None:
        self.runtime = runtime
        self.process = f"{kind}:{socket.gethostname()}:{os.getpid()}"
        url = runtime.settings.REDIS_URL
        self.redis: Any = connect(url) if url.get_secret_value() else None

    def own(self) -> Figures:
        """Of this process, as they are now."""
        bus = self.runtime.bus
        for name, engine in self.runtime.database.engines.items():
            pool: Any = engine.pool
            IN_USE.set(pool.checkedout(), name)
            SIZE.set(pool.size(), name)
        OPEN.set(bus.streams.total(), "stream")
        OPEN.set(bus.sockets.total(), "socket")
        return figures(self.process)

    async def all(self) -> list[Figures]:
        """Of every process of the site; of this one alone while Redis is away."""
        others = []
        with suppress(*AWAY):
            for name in await self.redis.smembers(KEY) if self.redis else ():
                told = await self.redis.get(KEY + name.decode())
                if told is None:
                    await self.redis.srem(KEY, name)
                elif name.decode() != self.process:
                    others.append(json.loads(told))
        return [self.own(), *others]

    @asynccontextmanager
    async def told(self) -> AsyncIterator[None]:
        """Leave the figures for the others while this is open, where somebody may ask for them, and once at the end."""
        if self.redis is None or not self.runtime.settings.METRICS_TOKEN.get_secret_value():
            yield
            return
        telling = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            telling.cancel()
            await self._leave()
            await self.redis.aclose()

    async def _tell(self) -> None:
        while True:
            await self._leave()
            await asyncio.sleep(SECONDS)

    async def _leave(self) -> None:
        with suppress(*AWAY):
            await self.redis.set(KEY + self.process, json.dumps(self.own()), ex=KEPT)
            await self.redis.sadd(KEY, self.process)


@asynccontextmanager
async def reporting(runtime: Runtime, kind: str) -> AsyncIterator[Report]:
    """Watch the loop, trace if that is wanted, and tell the figures if anybody may read them, while this is open."""
    settings, report = runtime.settings, Report(runtime, kind)
    engines = [each.sync_engine for each in runtime.database.engines.values()]
    async with tracing(settings, *engines), report.told():
        with watched(settings.STALL_SECONDS):
            yield report
