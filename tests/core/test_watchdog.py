"""The watchdog names the frame and the request that hold up the event loop; and so does a test."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from structlog.dev import ConsoleRenderer
from structlog.testing import capture_logs

from project.core import Running, job, watchdog
from project.core.jobs.queue import enqueue
from project.core.testing import blocking
from project.core.testing.jobs import Jobs
from project.core.watchdog import watched

pytestmark = pytest.mark.any_database
PATIENCE = 0.02
"""Seconds; far below what the tests block for, which is until the watchdog has spoken."""


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the watchdog has written its line."""
    event, tell = threading.Event(), watchdog.Watchdog._tell

    def and_say_so(self: watchdog.Watchdog, *args: Any) -> None:
        tell(self, *args)
        event.set()

    monkeypatch.setattr(watchdog.Watchdog, "_tell", and_say_so)
    return event


@contextmanager
def caught() -> Iterator[list[str]]:
    """What blocking calls were found, which is no failure of this test."""
    found: list[str] = []
    yield found
    found += blocking.FOUND
    blocking.FOUND.clear()


async def test_a_stall_is_told_once_with_frame_and_request(
    client: httpx2.AsyncClient, app: FastAPI, spoken: threading.Event, held_up: str
) -> None:
    before = watchdog.STALLS.series.get((), 0)
    with watched(PATIENCE), capture_logs() as lines:
        await client.get(held_up, headers={"x-request-id": "stalled-request"})
    (line,) = [each for each in lines if each["event"] == "the event loop is held up"]
    assert re.fullmatch(r"tests/core/test_watchdog\.py, line \d+, in hold_up", line["at"])
    assert (line["request_id"], line["route"]) == ("stalled-request", "GET /hold-up/{much}")
    assert line["seconds"] >= PATIENCE
    assert any("test_watchdog.py" in frame for frame in line["frames"])
    assert "test_watchdog.py" in ConsoleRenderer(colors=False)(None, "warning", line)  # as development shows it
    assert watchdog.STALLS.series[()] == before + 1


@pytest.fixture
async def held_up(app: FastAPI, spoken: threading.Event) -> AsyncIterator[str]:
    """An address whose handler blocks until the watchdog has spoken, and then for as long again."""

    async def hold_up(much: str) -> None:
        spoken.wait(20)
        threading.Event().wait(4 * PATIENCE)

    app.add_api_route("/hold-up/{much}", hold_up)
    yield "/hold-up/here"
    app.router.routes.pop()


LOOKS = {  # (seconds since the loop was due, since the last look, of the processor; task) of each look; those that tell
    "one step that lasts": (
        [(0.6, 0.25, 0, "a"), (0.85, 0.25, 0, "a"), (1.1, 0.25, 0, "a"), (1.35, 0.25, 0, "a")],
        [2],
    ),
    "many steps": ([(0.6, 0.25, 0.2, "a"), (0.85, 0.25, 0.2, "b"), (1.1, 0.25, 0.2, "c"), (1.35, 0.25, 0.2, "d")], []),
    "a machine that stood still": ([(9.0, 9.0, 0.01, "a"), (0.1, 0.25, 0, "a")], []),
    "code that kept the interpreter": ([(9.0, 9.0, 8.9, "a"), (0.1, 0.25, 0, "a")], [0]),
    "two stalls": ([(0.9, 0.25, 0, "a"), (1.15, 0.25, 0, "a"), (0.1, 0.25, 0, "a"), (9.0, 8.9, 8.8, "a")], [1, 3]),
}


@pytest.mark.parametrize(("looks", "told"), LOOKS.values(), ids=LOOKS)
async def test_what_is_a_stall(looks: list[tuple[float, float, float, str]], told: list[int]) -> None:
    dog = watchdog.Watchdog(asyncio.get_running_loop(), 1.0)
    dog.stop()
    now = used = 100.0
    dog._looked, dog._used, found = now, used, []
    for number, (late, gap, worked, task) in enumerate(looks):
        now, used = now + gap, used + worked
        dog._due = round(now - late, 3)
        if dog.is_held_up(now, used, task):
            found.append(number)
    assert found == told


async def test_how_late_the_loop_is_gets_counted(spoken: threading.Event) -> None:
    def counted() -> float:
        return float(sum(watchdog.LAG.series.get((), [0])[:-1]))

    before = counted()
    with watched(PATIENCE):
        assert counted() == before + 1
        spoken.wait(20)
        await asyncio.sleep(0.2)
    assert counted() >= before + 2


def sleep() -> None:
    time.sleep(0.001)


def ask_a_server() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname(), 0.01) as client,
        suppress(TimeoutError),
    ):
        client.recv(1)


def hash_a_password() -> None:
    PasswordHasher(1, 8, 1).hash("correct horse")


@pytest.mark.parametrize(
    ("blocks", "name"), [(sleep, "time.sleep"), (ask_a_server, "socket.recv"), (hash_a_password, "PasswordHasher.hash")]
)
async def test_a_handler_that_blocks_is_caught_with_its_line(
    app: FastAPI, client: httpx2.AsyncClient, blocks: Any, name: str
) -> None:
    async def handler() -> None:
        blocks()

    app.add_api_route("/blocks", handler)
    with caught() as found:
        await client.get("/blocks")
    app.router.routes.pop()
    (line,) = [each for each in found if each.startswith(f"{name} holds up the event loop")]
    assert re.search(rf"test_watchdog\.py, line \d+, in {blocks.__name__}, of .*GET /blocks", line)


async def test_so_is_a_job_and_what_a_thread_or_the_test_itself_does_is_not(jobs: Jobs) -> None:
    sleep()
    await asyncio.to_thread(sleep)
    with caught() as found:
        pass
    assert found == []

    @job()
    async def slow(running: Running) -> None:
        sleep()

    jobs.runtime.registry.jobs["probe.slow"] = slow
    with caught() as found:
        async with jobs.runtime.unit_of_work() as db:
            await enqueue(db, "probe.slow")
        await jobs.run()
    del jobs.runtime.registry.jobs["probe.slow"]
    assert len(found) == 1
    assert "'job': 'probe.slow'" in found[0]


def test_a_test_that_was_caught_fails() -> None:
    call = blocking.pytest_runtest_call()
    next(call)
    blocking.FOUND.append("time.sleep holds up the event loop")
    with pytest.raises(pytest.fail.Exception, match=r"time\.sleep holds up"):
        call.send(None)
    blocking.FOUND.clear()
