"""Readers who leave: their request ends with them; a writer's is carried out, and an answer that has begun, too."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from project.core.web import leaving
from project.core.web.leaving import Leaving

pytestmark = pytest.mark.any_database
STEPS = 10  # of the loop, more than any of these takes


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "PATIENCE", 0)


class Visitor:
    """A client whose request is there, and who leaves when it is told to."""

    def __init__(self, method: str = "GET", *headers: tuple[bytes, bytes]) -> None:
        self.scope: Scope = {"type": "http", "method": method, "headers": list(headers)}
        self.messages = asyncio.Queue[Message]()
        self.messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.got: list[Message] = []
        self.ended = False

    def leave(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})

    async def send(self, message: Message) -> None:
        self.got.append(message)

    async def ask(self, work: Callable[[Receive, Send], Awaitable[Any]]) -> "asyncio.Task[None]":
        """Begin to ask an app that does this work, and be looked at."""

        async def app(_: Scope, receive: Receive, send: Send) -> None:
            await work(receive, send)
            self.ended = True

        task = asyncio.create_task(Leaving(app)(self.scope, self.messages.get, self.send))
        await steps()
        return task


async def steps() -> None:
    for _ in range(STEPS):
        await asyncio.sleep(0)


async def endless(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_reader_asked_for_ends_when_they_leave(method: str) -> None:
    visitor = Visitor(method)
    task = await visitor.ask(endless)
    visitor.leave()
    await asyncio.wait([task], timeout=5)
    assert task.done()
    with pytest.raises(ClientDisconnect):
        await task


async def test_a_reader_who_stays_is_answered() -> None:
    visitor = Visitor()
    await (await visitor.ask(lambda *_: steps()))
    assert visitor.ended


@pytest.mark.parametrize("visitor", [lambda: Visitor("POST"), lambda: Visitor("GET", (b"content-length", b"9"))])
async def test_whoever_sends_something_is_served_to_the_end(visitor: Callable[[], Visitor]) -> None:
    one = visitor()
    ready = asyncio.Event()
    task = await one.ask(lambda *_: ready.wait())
    one.leave()
    await steps()
    ready.set()
    await asyncio.wait_for(task, 5)
    assert one.ended


async def test_an_answer_that_has_begun_and_what_follows_it_is_carried_out() -> None:
    ready = asyncio.Event()

    async def answer(_: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await ready.wait()

    visitor = Visitor()
    task = await visitor.ask(answer)
    visitor.leave()
    await steps()
    ready.set()
    await asyncio.wait_for(task, 5)
    assert visitor.ended


async def test_the_request_can_be_read_although_it_was_looked_at() -> None:
    read: list[str] = []

    async def late(receive: Receive, _: Send) -> None:
        await steps()
        read.append((await receive())["type"])

    await asyncio.wait_for(await Visitor().ask(late), 5)
    assert read == ["http.request"]


async def test_a_cancellation_by_somebody_else_stays_one() -> None:
    task = await Visitor().ask(endless)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
