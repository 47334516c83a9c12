"""The bus of one process: after the commit, in order, and nobody waits for anybody."""

import asyncio
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from project.core.live import GAP, Bus, Event, publish
from project.core.live.bus import WAITING, Subscription
from project.core.runtime import Runtime
from project.core.testing.recorded import RecordedBus
from tests.core.probe.live import TOPIC

TELL = "/api/v1/probe/tell"


async def test_what_is_committed_is_published_in_order(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    async with probe_app.state.runtime.bus.subscribe(TOPIC) as events:
        answer = await probe.post(TELL, json={"types": ["first", "second", "third"]})
        assert answer.status_code == 200
        assert [(await anext(events)).type for _ in range(3)] == ["first", "second", "third"]


async def test_a_commit_that_fails_publishes_nothing(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    async with probe_app.state.runtime.bus.subscribe(TOPIC) as events:
        answer = await probe.post(TELL, json={"types": ["never"], "fail": True})
        assert answer.status_code == 409
        assert not await events.ready(0)


async def test_what_is_rolled_back_is_never_published(runtime: Runtime, bus: RecordedBus) -> None:
    with suppress(ZeroDivisionError):
        async with runtime.unit_of_work() as db:
            await publish(db, "numbers", Event("never"))
            _ = 1 / 0
    async with runtime.unit_of_work() as db:
        await publish(db, "numbers", Event("added", {"n": 1}, id="7"))
        assert bus.published == []
    assert bus.published == [("numbers", Event("added", {"n": 1}, id="7"))]


async def test_each_listener_hears_their_own_topics() -> None:
    bus = Bus()
    async with bus.subscribe("rooms/1", "people/9") as mine, bus.subscribe("rooms/2") as others:
        await bus.publish("rooms/1", Event("message", "hello"))
        await bus.publish("people/9", Event("revoked"))
        assert [await anext(mine), await anext(mine)] == [Event("message", "hello"), Event("revoked")]
        assert not await others.ready(0)
    assert bus.listeners("rooms/1") == bus.listeners("rooms/2") == 0
    assert not bus.all_subscriptions()


async def test_a_slow_listener_hears_of_a_gap_and_holds_nobody_up() -> None:
    bus = Bus()
    async with bus.subscribe("flood") as slow, bus.subscribe("flood") as quick:
        for number in range(WAITING + 2):
            await bus.publish("flood", Event("drop", number))
            assert (await anext(quick)).data == number
        assert [await anext(slow), await anext(slow)] == [GAP, Event("drop", WAITING + 1)]
        assert not await slow.ready(0)


async def test_what_was_published_is_what_was_given_then() -> None:
    bus, data = Bus(), {"done": 1}
    async with bus.subscribe("jobs/1") as events:
        await bus.publish("jobs/1", Event("progress", data))
        data["done"] = 2
        assert (await anext(events)).data == {"done": 1}


async def test_a_bus_that_closes_ends_its_listeners() -> None:
    bus = Bus()
    async with bus.subscribe("jobs/1") as events:
        waiting = asyncio.ensure_future(anext(events, None))
        await asyncio.sleep(0)
        await bus.close()
        assert await waiting is None


@pytest.mark.parametrize("topic", ["", "*", "rooms/*", "rooms/[1]", "a b", "a\nb", "é", "x" * 201])
async def test_a_topic_is_a_plain_name(topic: str) -> None:
    with pytest.raises(ValueError, match="topic"):
        await Bus().publish(topic, Event("message"))
    with pytest.raises(ValueError, match="topic"):
        async with Bus().subscribe(topic):
            pass


@pytest.mark.parametrize(("word", "id"), [("", ""), ("a\nb", ""), ("Ab", ""), ("a", "1\n2"), ("a", "1\0"), ("a", "é")])
def test_neither_type_nor_id_of_an_event_can_break_a_line(word: str, id: str) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        Event(word, id=id)


@pytest.mark.parametrize("data", [object(), float("nan"), {"x": b"bytes"}, "x" * 40_000])
async def test_what_cannot_travel_is_refused_where_it_is_published(runtime: Runtime, data: Any) -> None:
    async with runtime.unit_of_work() as db:
        with pytest.raises((ValueError, TypeError)):
            await publish(db, "topic", Event("message", data))


async def test_nobody_may_publish_a_gap() -> None:
    with pytest.raises(ValueError, match="gap"):
        await Bus().publish("topic", Event("gap"))


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_subscription_that_is_closed_ends_once_what_waits_is_heard_or_forgotten(forgotten: bool) -> None:
    events = Subscription()
    events.put(Event("made"))
    events.close()
    if forgotten:
        events.clear()
    async with asyncio.timeout(5):
        assert [event async for event in events] == ([] if forgotten else [Event("made")])
