"""The production server, really started: it drains when it stops, and is replaced without a failed request."""

import asyncio
import os
import signal
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest

from project.core.testing.redis_server import RedisServer
from tests.core.conftest import SECONDS, serving, until_it_answers

PROBE = {"INSTALLED_APPS": "project,apps.accounts,tests.core.probe"}


async def pid_of_a_server(client: httpx2.AsyncClient) -> str:
    """Which process answers a new connection."""
    async with client.stream("GET", "/api/v1/probe/stream") as answer:
        return await anext(answer.aiter_lines())


async def test_a_stop_is_told_first_and_ends_with_0(site_copy: Path, site_environment: dict[str, str]) -> None:
    environment = site_environment | PROBE | {"DRAIN_SECONDS": "2"}
    with serving(site_copy, environment, by="serve") as (url, process):
        async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
            await until_it_answers(client)
            async with client.stream("GET", "/api/v1/probe/events") as answer:
                lines = answer.aiter_lines()
                await anext(lines)
                process.send_signal(signal.SIGTERM)
                with anyio.fail_after(SECONDS):
                    async for _ in lines:
                        pass
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["parts"]) == (503, {"process": "stopping"})
            assert (await client.get("/health/live")).status_code == 200
            with anyio.fail_after(SECONDS):
                assert await anyio.to_thread.run_sync(process.wait) == 0


async def test_processes_are_replaced_while_every_request_is_answered(
    site_copy: Path, site_environment: dict[str, str]
) -> None:
    async def ask() -> None:
        while not replaced.is_set():
            statuses.add((await client.get("/health/live")).status_code)

    statuses: set[int] = set()
    replaced = asyncio.Event()
    with (
        RedisServer() as redis,
        serving(site_copy, site_environment | PROBE | {"REDIS_URL": redis.url}, "--workers", "2", by="serve") as server,
    ):
        url, process = server
        fresh = httpx2.Limits(max_keepalive_connections=0)
        async with (
            httpx2.AsyncClient(base_url=url, timeout=SECONDS, limits=fresh) as client,
            asyncio.TaskGroup() as group,
        ):
            await until_it_answers(client)
            before = {await pid_of_a_server(client) for _ in range(20)}
            group.create_task(ask())
            process.send_signal(signal.SIGHUP)
            with anyio.fail_after(3 * SECONDS):
                while before & {await pid_of_a_server(client) for _ in range(20)}:
                    pass
            replaced.set()
        assert statuses == {200}
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(SECONDS):
            assert await anyio.to_thread.run_sync(process.wait) == 0


def test_several_processes_without_redis_are_refused(site_copy: Path, site_environment: dict[str, str]) -> None:
    with serving(site_copy, site_environment, "--workers", "2", by="serve") as (_, process):
        assert process.wait(SECONDS) == 1
    assert "REDIS_URL" in (site_copy / "stderr").read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_streams_are_told_however_the_site_is_served(name: str) -> None:
    from project.core.closing import Closing

    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    number = signal.Signals[name]
    former = signal.signal(number, lambda *_: loop.call_soon_threadsafe(heard.set))
    try:
        closing = Closing()
        with closing.told_by_signals(drain=3600):
            os.kill(os.getpid(), number)
            async with asyncio.timeout(SECONDS):
                await closing.wait()
            assert not heard.is_set()
            os.kill(os.getpid(), number)
            async with asyncio.timeout(SECONDS):
                await heard.wait()
    finally:
        signal.signal(number, former)
