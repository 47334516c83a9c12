"""A task that is cancelled ends, whatever it waited for: drivers must not swallow it."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from project.core.redis import connect
from project.core.runtime import Runtime
from project.core.testing.redis_server import RedisServer

STEPS = 25  # of the loop, more than any of these takes


async def ended_as_asked(work: Callable[[], Awaitable[object]], steps: int) -> bool:
    """Cancel the work after so many steps of the loop; False when it goes on all the same."""
    task = asyncio.ensure_future(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    asked = task.cancel()
    await asyncio.wait([task])
    return task.cancelled() or not asked


async def test_a_redis_command_that_is_cancelled_ends() -> None:
    with RedisServer() as server:
        redis = connect(SecretStr(server.url))
        await redis.ping()
        for steps in range(STEPS):
            assert await ended_as_asked(lambda: redis.bzpopmin(["nothing"], timeout=0.05), steps), steps
        assert await redis.ping() is True  # and its answer is no other's
        await redis.aclose()


async def test_what_the_driver_says_of_a_cancelled_statement_hides_no_cancellation(probe_app: FastAPI) -> None:
    runtime: Runtime = probe_app.state.runtime

    async def work() -> None:
        async with runtime.unit_of_work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise sqlite3.OperationalError("interrupted") from None

    assert await ended_as_asked(work, 5)


async def test_an_error_of_the_database_is_one_when_nobody_cancels(probe_app: FastAPI) -> None:
    runtime: Runtime = probe_app.state.runtime
    with pytest.raises(OperationalError):
        async with runtime.unit_of_work():
            raise OperationalError("SELECT 1", {}, Exception("locked"))
