"""Sockets: the same events as streams, each once and in order."""

import asyncio
import json
from collections.abc import Hashable

import pytest
from fastapi import FastAPI

from project.core.live import GAP, Bus, Event, hubs
from project.core.runtime import Runtime
from tests.core.probe import live
from tests.core.sockets.conftest import LOG, STATE, Slow, ids, joined, made, until, until_following

pytestmark = pytest.mark.any_database


async def test_the_state_comes_first_then_each_event(site: FastAPI, runtime: Runtime) -> None:
    async with joined(site, STATE) as socket:
        assert await socket.frame() == {"type": "state", "kept": 0}
        await runtime.bus.publish(live.TOPIC, Event("made", {"text": "é"}, id="1"))
        await runtime.bus.publish(live.TOPIC, Event("done", 7))
        assert await socket.frames(2) == [
            {"type": "made", "id": "1", "text": "é"},
            {"type": "done", "data": 7},
        ]
    await until(lambda: not runtime.bus.hubs and not runtime.bus.sockets and not runtime.bus.listeners(live.TOPIC))


async def test_a_log_goes_on_where_the_client_left_it_and_is_read_once_for_all(site: FastAPI, runtime: Runtime) -> None:
    live.KEPT += made(1, 2, 3)
    async with joined(site, f"{LOG}?after=1") as first, joined(site, LOG) as second:
        assert ids(await first.frames(2)) == ["2", "3"]
        assert ids(await second.frames(3)) == ["1", "2", "3"]
        await until_following(runtime, 2)
        await runtime.bus.publish(live.TOPIC, Event("typing"))
        assert [await first.frame(), await second.frame()] == [{"type": "typing"}] * 2
        live.ASKED.clear()
        live.KEPT += made(4, 5)
        for event in live.KEPT[-2:]:
            await runtime.bus.publish(live.TOPIC, event)
        assert ids(await first.frames(2)) == ids(await second.frames(2)) == ["4", "5"]
        await runtime.bus.publish(live.TOPIC, Event("typing"))
        assert [await first.frame(), await second.frame()] == [{"type": "typing"}] * 2
    assert live.ASKED == ["3", "5"]


async def test_whoever_joins_while_events_come_gets_each_once_and_in_order(site: FastAPI, runtime: Runtime) -> None:
    total = 120

    async def follow(number: int) -> list[str]:
        await until(lambda: len(live.KEPT) >= number * 10)
        async with joined(site, f"{LOG}?after={number}") as socket:
            return ids(await socket.frames(total - number))

    async def tell() -> None:
        for event in made(*range(1, total + 1)):
            live.KEPT.append(event)
            await runtime.bus.publish(live.TOPIC, event)
            await asyncio.sleep(0.002)

    *heard, _ = await asyncio.gather(*(follow(number) for number in range(1, 9)), tell())
    assert heard == [ids([{"id": str(each)} for each in range(number + 1, total + 1)]) for number in range(1, 9)]


async def test_after_a_gap_the_log_is_read_on_and_the_state_comes_again(site: FastAPI, runtime: Runtime) -> None:
    async with joined(site, LOG) as log, joined(site, STATE) as state:
        await state.frame()
        await until_following(runtime, 2)
        live.KEPT += made(1, 2, 3)
        for events in runtime.bus.all_subscriptions():
            events.put(GAP)
        assert ids(await log.frames(3)) == ["1", "2", "3"]
        assert await state.frame() == {"type": "state", "kept": 3}


async def test_html_is_rendered_once_for_all_sockets(site: FastAPI, runtime: Runtime) -> None:
    path = f"{STATE}?format=html"
    async with joined(site, path) as first, joined(site, path) as second, joined(site, STATE) as third:
        assert [await first.text(), await second.text()] == ["<p>state</p>"] * 2
        await until_following(runtime, 3)
        live.RENDERED.clear()
        for word in ("whisper", "made"):
            await runtime.bus.publish(live.TOPIC, Event(word))
        assert [await first.text(), await second.text()] == ["<p>made</p>"] * 2
        assert [frame["type"] for frame in await third.frames(3)] == ["state", "whisper", "made"]
    assert live.RENDERED == ["whisper", "made"]


async def test_what_cannot_be_read_closes_for_a_while_and_says_so(site: FastAPI, runtime: Runtime) -> None:
    live.KEPT += made(1, 2)
    async with joined(site, LOG) as socket:
        await socket.frames(2)
        await until_following(runtime)
        live.KEPT.clear()
        await runtime.bus.publish(live.TOPIC, Event("made", id="3"))
        assert await socket.closed() == 1013
        live.KEPT += made(1, 2, 3)
        async with joined(site, f"{LOG}?after=2") as again:
            assert ids(await again.frames(1)) == ["3"]
            await until_following(runtime)
            live.KEPT += made(4)
            await runtime.bus.publish(live.TOPIC, live.KEPT[-1])
            assert ids(await again.frames(1)) == ["4"]
    await until(lambda: not runtime.bus.hubs)


async def test_who_joins_is_given_what_the_others_have_and_no_more() -> None:
    kept = made(1, 2, 3, 4, 5)

    async def since(last: str) -> list[Event]:
        if last == "3":
            kept.extend(made(7))  # comes when the others have been read to
        return kept[int(last or 0) :]

    bus, known, fast = Bus(), dict[Hashable, hubs.Hub](), Slow(room=99)
    first, second = (hubs.Peer(fast, None, hubs.Feed(since=since), False, last) for last in ("5", "3"))  # type: ignore[arg-type]
    hub = hubs.Hub(known, "key", bus, "topic")
    hub.members |= {first, second}
    assert await hub.join(first) == []
    kept.extend(made(6))
    assert [event.id for event in await hub.join(second)] == ["4", "5", "6"]
    fast.sent.clear()
    await bus.publish("topic", kept[-1])
    await until(lambda: len(fast.sent) == 2)
    assert [json.loads(message["text"])["id"] for message in fast.sent] == ["7", "7"]
    for peer in (first, second):
        hub.leave(peer)
