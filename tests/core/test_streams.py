"""Streams over real HTTP: snapshot first, replay where events are kept, and nothing is left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col
from starlette.requests import Request
from starlette.types import Message

from apps.accounts.conf import AccountsSettings
from apps.accounts.models import Session, User
from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.live import GAP, Event, publish, revoke, revoking, streams
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.testing.plugin import Databases, MakeSettings
from tests.core.conftest import INSTALLED
from tests.core.probe import live

pytestmark = pytest.mark.any_database

EVENTS = "/api/v1/probe/events"
LOG = "/api/v1/probe/log"
SECONDS = 15


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The probe app, served; its address is `site.state.address`."""
    live.KEPT.clear()
    live.ASKED.clear()
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        async with serving(app) as app.state.address:
            yield app


@pytest.fixture
def runtime(site: FastAPI) -> Runtime:
    found: Runtime = site.state.runtime
    return found


class Reader:
    """What an EventSource sees: frames, each a list of its lines."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def frame(self) -> list[str]:
        """The next frame; nothing when the stream has ended."""
        lines: list[str] = []
        async with asyncio.timeout(SECONDS):
            async for line in self._lines:
                if not line:
                    break
                lines.append(line)
        return lines

    async def frames(self, count: int) -> list[list[str]]:
        return [await self.frame() for _ in range(count)]


@asynccontextmanager
async def reading(
    site: FastAPI, path: str = EVENTS, *, user: User | None = None, headers: dict[str, str] | None = None
) -> AsyncIterator[Reader]:
    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        if user:
            await sign_in_as(client, site, user)
        async with client.stream("GET", path, headers=headers) as answer:
            reader = Reader(answer)
            assert (await reader.frame())[0].startswith("retry: ")
            yield reader


async def until_nobody_listens(runtime: Runtime) -> None:
    async with asyncio.timeout(SECONDS):
        while runtime.bus.listeners(live.TOPIC):  # noqa: ASYNC110 - the server tells nobody that it has noticed
            await asyncio.sleep(0.01)


async def test_the_state_comes_first_then_each_event_until_the_last(site: FastAPI, runtime: Runtime) -> None:
    async with reading(site) as reader:
        assert reader.answer.headers["content-type"].startswith("text/event-stream")
        assert reader.answer.headers["cache-control"] == "no-store"
        assert reader.answer.headers["x-accel-buffering"] == "no"
        assert await reader.frame() == ["event: state", 'data: {"kept": 0}']
        await runtime.bus.publish(live.TOPIC, Event("made", {"text": "a\nb"}, id="1"))
        await runtime.bus.publish(live.TOPIC, Event("done"))
        assert await reader.frames(4) == [
            ["event: made", 'data: {"text": "a\\nb"}', "id: 1"],
            ["event: done", "data: null"],
            ["event: end", "data: "],
            [],
        ]
    await until_nobody_listens(runtime)


@pytest.mark.parametrize("way", ["header", "query"])
async def test_who_comes_back_gets_what_they_missed(site: FastAPI, runtime: Runtime, way: str) -> None:
    live.KEPT += [Event("made", number, id=str(number)) for number in range(1, 5)]
    path, headers = (EVENTS, {"Last-Event-ID": "2"}) if way == "header" else (f"{EVENTS}?last_event_id=2", {})
    async with reading(site, path, headers=headers) as reader:
        assert [frame[-1] for frame in await reader.frames(2)] == ["id: 3", "id: 4"]
        await runtime.bus.publish(live.TOPIC, live.KEPT[-1])  # on its way already when the replay was read
        await runtime.bus.publish(live.TOPIC, Event("made", 5, id="5"))
        assert (await reader.frame())[-1] == "id: 5"


async def test_an_id_that_nobody_knows_gets_the_state(site: FastAPI) -> None:
    async with reading(site, headers={"Last-Event-ID": "gone"}) as reader:
        assert await reader.frame() == ["event: state", 'data: {"kept": 0}']


async def test_after_a_gap_the_state_comes_again(site: FastAPI, runtime: Runtime) -> None:
    async with reading(site) as reader:
        assert await reader.frame() == ["event: state", 'data: {"kept": 0}']
        live.KEPT.append(Event("made", id="1"))
        for events in runtime.bus.all_subscriptions():
            events.put(Event("gap"))
        assert await reader.frame() == ["event: state", 'data: {"kept": 1}']


async def test_after_a_gap_what_was_lost_is_replayed_although_newer_events_have_come(
    site: FastAPI, runtime: Runtime
) -> None:
    live.KEPT += [Event("made", number, id=str(number)) for number in range(1, 4)]
    async with reading(site, headers={"Last-Event-ID": "1"}) as reader:
        await reader.frames(2)
        live.KEPT += [Event("made", 4, id="4"), Event("made", 5, id="5")]
        await runtime.bus.publish(live.TOPIC, live.KEPT[-1])
        for events in runtime.bus.all_subscriptions():
            events.put(GAP)
        assert [frame[-1] for frame in await reader.frames(2)] == ["id: 5", "id: 4"]


async def test_lines_of_html_stay_data(site: FastAPI) -> None:
    async with reading(site, "/probe/happening") as reader:
        assert await reader.frame() == ["data: <b>", "data: state", "data: ", "data: data: forged</b>"]


async def test_who_leaves_frees_their_subscription(site: FastAPI, runtime: Runtime) -> None:
    async with reading(site) as reader:
        await reader.frame()
        assert runtime.bus.listeners(live.TOPIC) == 1
    await until_nobody_listens(runtime)


async def test_the_stream_of_a_session_that_was_revoked_ends(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoking, "RECHECK", 0.05)
    ann = await add_user(site)
    async with reading(site, user=ann) as reader:
        assert await reader.frames(2) == [["event: state", 'data: {"kept": 0}'], [": ping"]]
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Session))
        async with asyncio.timeout(SECONDS):
            while await reader.frame():
                pass
    await until_nobody_listens(runtime)


async def test_a_stream_ends_when_its_session_does_by_itself(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoking, "SOON", 0.05)
    short = runtime.conf(AccountsSettings).model_copy(update={"IDLE_HOURS": 1.5 / 3600})
    monkeypatch.setattr(runtime, "_conf", runtime._conf | {AccountsSettings: short})
    async with reading(site, user=await add_user(site)) as reader, asyncio.timeout(SECONDS):
        while await reader.frame():
            pass
    await until_nobody_listens(runtime)


@pytest.mark.parametrize("path", [EVENTS, LOG])
async def test_a_stream_ends_as_soon_as_it_is_revoked(site: FastAPI, runtime: Runtime, path: str) -> None:
    live.KEPT += [Event("made", id="1")]
    ann, bob = await add_user(site), await add_user(site, "bob@example.com")
    async with reading(site, path, user=ann) as hers, reading(site, path, user=bob) as his:
        for reader in (hers, his):
            await reader.frame()
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Session).where(col(Session.user_id) == ann.id))
            for event in ("bell", "bell"):
                await publish(db, live.TOPIC, Event(event))
            await revoke(db, ann.id)
            await revoke(db, bob.id)
        async with asyncio.timeout(SECONDS):
            while await hers.frame():
                pass
        live.KEPT.append(Event("done", id="2"))
        await runtime.bus.publish(live.TOPIC, live.KEPT[-1])
        async with asyncio.timeout(SECONDS):
            while (await his.frame())[0] != "event: done":
                pass


async def test_streams_end_where_a_membership_was_lost(site: FastAPI, runtime: Runtime) -> None:
    ann = await add_user(site)
    async with reading(site, user=ann) as reader:
        await reader.frame()
        async with runtime.unit_of_work() as db:
            await revoke(db, ann.id, topic="another/topic")
            await publish(db, live.TOPIC, Event("made"))
        assert (await reader.frame())[0] == "event: made"
        async with runtime.unit_of_work() as db:
            await revoke(db, ann.id, topic=live.TOPIC)
        assert await reader.frame() == []


async def test_streams_end_when_the_process_stops(site: FastAPI, runtime: Runtime) -> None:
    async with reading(site) as reader:
        await reader.frame()
        runtime.closing.set()
        assert await reader.frame() == []
    await until_nobody_listens(runtime)


async def test_silence_is_broken_by_a_comment(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.05)
    async with reading(site) as reader:
        assert await reader.frames(3) == [["event: state", 'data: {"kept": 0}'], [": ping"], [": ping"]]


async def test_a_head_request_ends(site: FastAPI) -> None:
    limits = httpx2.Limits(max_connections=1)  # it is free again only when the first answer has ended
    async with httpx2.AsyncClient(base_url=site.state.address, limits=limits, timeout=SECONDS) as client:
        for _ in range(2):
            answer = await client.head("/probe/happening")
            assert answer.headers["content-type"].startswith("text/event-stream")


async def test_who_leaves_in_the_middle_of_a_frame_frees_their_subscription(runtime: Runtime) -> None:
    left = asyncio.Event()

    async def send(message: Message) -> None:
        if b"state" in message.get("body", b""):
            assert runtime.bus.listeners("leaving") == 1
            left.set()
            await asyncio.Event().wait()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    async def snapshot() -> list[Event]:
        return [Event("state")]

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b"", "state": {"principal": None}}
    await streams.stream(Request(scope), runtime, "leaving", snapshot=snapshot)(scope, receive, send)
    assert runtime.bus.listeners("leaving") == 0


async def test_one_visitor_follows_so_many_streams_at_once(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST", 2)
    async with reading(site) as first, reading(site) as second:
        for reader in (first, second):
            await reader.frame()
        async with httpx2.AsyncClient(base_url=site.state.address) as client:
            third = await client.get(EVENTS)
        assert (third.status_code, third.json()["code"]) == (429, "too_many")
    async with asyncio.timeout(SECONDS):
        while site.state.runtime.bus.streams:  # noqa: ASYNC110 - the server learns by itself that they have left
            await asyncio.sleep(0.01)
    async with reading(site):
        pass


# Logs


def made(*numbers: int) -> list[Event]:
    return [Event("made", number, id=str(number)) for number in numbers]


async def ids(reader: Reader, count: int) -> list[str]:
    return [frame[-1] for frame in await reader.frames(count)]


async def test_a_log_is_read_in_portions_and_again_whenever_its_bell_rings(site: FastAPI, runtime: Runtime) -> None:
    live.KEPT += made(1, 2, 3)
    async with reading(site, LOG) as reader:
        assert await ids(reader, 3) == ["id: 1", "id: 2", "id: 3"]
        live.KEPT += made(4, 5, 6)
        await runtime.bus.publish(live.TOPIC, Event("bell", id="of-nobody"))
        assert await ids(reader, 3) == ["id: 4", "id: 5", "id: 6"]
        live.KEPT += [*made(7), Event("done", id="8")]
        for events in runtime.bus.all_subscriptions():
            events.put(GAP)
        assert await reader.frames(4) == [
            ["event: made", "data: 7", "id: 7"],
            ["event: done", "data: null", "id: 8"],
            ["event: end", "data: "],
            [],
        ]
    assert list(dict.fromkeys(live.ASKED)) == ["", "2", "3", "5", "6"]
    await until_nobody_listens(runtime)


@pytest.mark.parametrize("way", ["header", "query"])
async def test_a_log_goes_on_where_the_client_left_it(site: FastAPI, way: str) -> None:
    live.KEPT += made(1, 2, 3)
    path, headers = (LOG, {"Last-Event-ID": "2"}) if way == "header" else (f"{LOG}?last_event_id=2", {})
    async with reading(site, path, headers=headers) as reader:
        assert await ids(reader, 1) == ["id: 3"]
    assert live.ASKED[0] == "2"


async def test_who_comes_back_to_a_log_that_has_ended_is_told_so(site: FastAPI) -> None:
    live.KEPT += [*made(1), Event("done", id="2")]
    async with reading(site, LOG, headers={"Last-Event-ID": "2"}) as reader:
        assert await reader.frames(3) == [["event: done", "data: null", "id: 2"], ["event: end", "data: "], []]


async def test_a_log_that_repeats_its_last_event_is_not_asked_on_and_on(site: FastAPI, runtime: Runtime) -> None:
    live.KEPT += [Event("done", id="1")]
    async with reading(site, f"{LOG}?endless=true") as reader:
        assert await ids(reader, 2) == ["id: 1", "id: 1"]
        await runtime.bus.publish(live.TOPIC, Event("bell"))
        assert await ids(reader, 1) == ["id: 1"]
    assert live.ASKED == ["", "1", "1"]


async def test_however_often_the_bell_rang_meanwhile_the_log_is_asked_once(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT", 0.01)  # it beats when nothing waits any more
    asked: list[str] = []

    async def since(last: str) -> list[Event]:
        asked.append(last)
        for _ in range(5 if len(asked) == 1 else 0):
            await runtime.bus.publish("log", Event("bell"))
        return [Event("made", id="1")] if len(asked) == 2 else []

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": b"", "state": {"principal": None}}
    frames = streams.stream(Request(scope), runtime, "log", since=since).frames
    async with asyncio.timeout(SECONDS), aclosing(frames):
        told = [await anext(frames) for _ in range(3)]
    assert [b"id: 1" in told[1], b"ping" in told[2]] == [True, True]
    assert asked == ["", "", "1"]


@pytest.mark.parametrize("last", [b"\xff", b"a b", b"x" * 201], ids=["no ASCII", "a space", "too long"])
async def test_an_id_that_no_event_can_have_is_none(runtime: Runtime, last: bytes) -> None:
    async def since(last: str) -> list[Event]:
        return [Event("state", id=last)]

    headers = [(b"last-event-id", last)]
    scope = {"type": "http", "method": "GET", "headers": headers, "query_string": b"", "state": {"principal": None}}
    frames = streams.stream(Request(scope), runtime, "log", since=since).frames
    async with asyncio.timeout(SECONDS), aclosing(frames):
        assert b"event: state" in [await anext(frames) for _ in range(2)][1]


async def test_a_stream_is_of_a_state_or_of_a_log(runtime: Runtime) -> None:
    async def given(*_: str) -> list[Event]:
        return []

    request = Request({"type": "http", "method": "GET", "headers": [], "query_string": b""})
    for options in ({}, {"snapshot": given, "since": given}, {"replay": given, "since": given}, {"replay": given}):
        with pytest.raises(TypeError, match="either a snapshot"):
            streams.stream(request, runtime, "log", **options)  # type: ignore[arg-type]
