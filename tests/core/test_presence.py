"""Presence: who is on a topic, whichever process holds them, and soon after a process has died."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from project.core.db.models import now
from project.core.identity import Principal
from project.core.live import Event, Subscription, presence
from project.core.live.presence import Lease, Presence, present
from project.core.runtime import Runtime

SECONDS = 15
TOPIC = "rooms/lounge"
ANN = Principal(uuid4(), "ann@example.com", "Ann", uuid4())
BOB = Principal(uuid4(), "bob@example.com", "", uuid4())


@pytest.fixture
def runtime(live_app: FastAPI) -> Runtime:
    found: Runtime = live_app.state.runtime
    return found


async def names(runtime: Runtime, topic: str = TOPIC) -> list[str]:
    async with runtime.unit_of_work(write=False) as db:
        return [each.name for each in await present(db, topic)]


async def heard(events: Subscription, count: int = 1) -> list[tuple[str, str]]:
    async with asyncio.timeout(SECONDS):
        return [(event.type, event.data["name"]) for event in [await anext(events) for _ in range(count)]]


async def until_there(runtime: Runtime, *expected: str) -> None:
    async with asyncio.timeout(SECONDS):
        while await names(runtime) != [*expected]:  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.01)


async def test_each_is_there_once_from_their_first_socket_to_their_last(runtime: Runtime) -> None:
    here, elsewhere = runtime.presence, Presence(runtime.database)
    async with runtime.bus.subscribe(TOPIC) as events:
        async with here.on(TOPIC, BOB):
            async with elsewhere.on(TOPIC, ANN), here.on(TOPIC, ANN), here.on("rooms/other", ANN):
                assert await names(runtime) == ["Ann", "bob@example.com"]
            assert await names(runtime) == ["bob@example.com"]
        assert await names(runtime) == []
        assert await heard(events, 4) == [
            ("joined", "bob@example.com"),
            ("joined", "Ann"),
            ("left", "Ann"),
            ("left", "bob@example.com"),
        ]


async def test_who_was_held_by_a_process_that_died_is_gone_when_their_lease_is(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.01)
    async with runtime.unit_of_work() as db:
        for topic, user in ((TOPIC, ANN), ("rooms/other", ANN)):
            ended = now() - timedelta(seconds=1)
            db.add(Lease(topic=topic, user_id=user.id, name=user.label, process=uuid4(), expires_at=ended))
    assert await names(runtime) == []
    async with (
        runtime.bus.subscribe(TOPIC) as here,
        runtime.bus.subscribe("rooms/other") as other,
        runtime.presence.on("rooms/third", BOB),
    ):
        assert await heard(here) == await heard(other) == [("left", "Ann")]
    async with runtime.unit_of_work(write=False) as db:
        assert await db.scalar(sa.select(sa.func.count()).select_from(Lease)) == 0


async def test_who_lives_renews_their_lease(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.01)
    async with runtime.bus.subscribe(TOPIC) as events, runtime.presence.on(TOPIC, ANN):
        async with runtime.unit_of_work() as db:
            await db.execute(sa.update(Lease).values(expires_at=now() - timedelta(seconds=1)))
        await until_there(runtime, "Ann")
        await runtime.bus.publish(TOPIC, Event("marker", {"name": ""}))
        assert await heard(events, 2) == [("joined", "Ann"), ("marker", "")]


async def test_a_process_that_was_taken_for_dead_says_that_it_lives(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.01)
    async with runtime.presence.on(TOPIC, ANN):
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Lease))
        await until_there(runtime, "Ann")


async def test_a_database_that_is_away_ends_no_presence(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.01)
    async with runtime.presence.on(TOPIC, ANN):
        failed = asyncio.Event()

        def away(*, write: bool = True) -> None:
            failed.set()
            raise OSError

        with monkeypatch.context() as patch:
            patch.setattr(runtime.database, "unit_of_work", away)
            async with asyncio.timeout(SECONDS):
                await failed.wait()
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Lease))
        await until_there(runtime, "Ann")
