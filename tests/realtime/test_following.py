"""Rooms that are followed: over real HTTP, as JSON and as HTML, each event once, and only by whoever may."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col, select

from apps.accounts import User
from apps.realtime import feeds, following
from apps.realtime.feeds import Feed, Feeds
from apps.realtime.messages import happened, remove_message
from apps.realtime.models import Member, Message, Room
from apps.realtime.services import ACCESS, topic
from project.core import Runtime
from project.core.asgi import create_app
from project.core.live import GAP, Event
from project.core.management.browsing import serving
from project.core.testing.plugin import Databases, MakeSettings
from tests.realtime.conftest import LOBBY, ROOMS, enter, say

pytestmark = pytest.mark.any_database

SECONDS = 20
PAGE = "/realtime/rooms/lobby/events"


@dataclass
class Site:
    """The site, served, and people on it."""

    app: FastAPI
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    @property
    def runtime(self) -> Runtime:
        found: Runtime = self.app.state.runtime
        return found

    async def come(self, name: str) -> httpx2.AsyncClient:
        client = httpx2.AsyncClient(base_url=self.app.state.address, trust_env=False, timeout=SECONDS)
        self.clients.append(client)
        return await enter(self.app, client, name)

    async def room(self, slug: str) -> UUID:
        async with self.runtime.unit_of_work(write=False) as db:
            return (await db.exec(select(Room.id).where(Room.slug == slug))).one()


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[Site]:
    """The site on a database of its own."""
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url))
        async with serving(app) as app.state.address:
            site = Site(app)
            yield site
            for client in site.clients:
                await client.aclose()


@pytest.fixture
async def ann(site: Site) -> httpx2.AsyncClient:
    """Ann, who has opened the lobby, and a den for herself and Bob."""
    ann = await site.come("Ann")
    await ann.post(ROOMS, json={"slug": "lobby", "title": "Lobby"})
    await ann.post(ROOMS, json={"slug": "den", "title": "Den", "private": True})
    return ann


@pytest.fixture
async def bob(site: Site, ann: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """Bob, who may be in the den."""
    bob = await site.come("Bob")
    await ann.post(f"{ROOMS}/den/members", json={"email": "bob@example.com"})
    return bob


class Heard:
    """What a stream says: `await heard.next()` is (type, id, data)."""

    def __init__(self, answer: httpx2.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, *, presence: bool = False) -> tuple[str, str, str]:
        """The next event; of who is there only where it is asked for."""
        async with asyncio.timeout(SECONDS):
            while True:
                found = await self._next()
                if presence == (found[0] == "presence" or 'id="presence"' in found[2]) or found[0] == "closed":
                    return found

    async def _next(self) -> tuple[str, str, str]:
        found: dict[str, list[str]] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name in ("event", "id", "data", "event:", "data:"):
                found.setdefault(name.strip(":"), []).append(value)
            elif not line and found:
                kind, place = (found.get(each, [""])[0] for each in ("event", "id"))
                return kind, place, "\n".join(found.get("data", []))
        return "closed", "", ""


async def heard_by(site: "Site", slug: str, listeners: int) -> None:
    """Return when so many listen: the followers, and the one feed that they share."""
    name = topic(await site.room(slug))
    async with asyncio.timeout(SECONDS):
        while site.runtime.bus.listeners(name) != listeners:  # noqa: ASYNC110 - the bus tells nobody who listens
            await asyncio.sleep(0.01)


@asynccontextmanager
async def following_as(client: httpx2.AsyncClient, url: str, last: str = "") -> AsyncIterator[Heard]:
    """Follow a room, from the event after that one."""
    async with client.stream("GET", url, headers={"Last-Event-ID": last} if last else {}) as answer:
        assert answer.status_code == 200
        lines = Heard(answer)
        yield lines


async def test_whoever_follows_hears_what_is_said(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    async with following_as(bob, f"{LOBBY}/events", "0") as heard:
        await say(ann, LOBBY, "hello")
        kind, place, data = await heard.next()
    assert (kind, place) == ("message", "1")
    assert json.loads(data) == (await ann.get(f"{LOBBY}/messages")).json()["items"][0]


async def test_a_page_gets_each_message_as_html_and_harmless(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    async with following_as(bob, PAGE, "0") as heard:
        await say(ann, LOBBY, "<img src=x onerror=alert(1)> javascript:alert(1)")
        _, place, data = await heard.next()
    assert place == "1"
    assert 'id="message-1"' in data
    assert "&lt;img src=x onerror=alert(1)&gt;" in data
    assert "<img" not in data


async def test_whoever_comes_back_gets_what_they_missed_once(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    await say(ann, LOBBY, "a", "b")
    async with following_as(bob, f"{LOBBY}/events", "1") as heard:
        assert (await heard.next())[1] == "2"
        await say(ann, LOBBY, "c")
        assert (await heard.next())[1] == "3"
    await say(ann, LOBBY, "d", "e")
    async with following_as(bob, f"{LOBBY}/events?last_event_id=3") as heard:
        assert [(await heard.next())[1] for _ in range(2)] == ["4", "5"]


@pytest.mark.parametrize("last", ["", "999999999", "odd", "-1", "9" * 40])
async def test_whoever_names_no_event_hears_from_now_on(
    last: str, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site
) -> None:
    await say(ann, LOBBY, "before")
    async with following_as(bob, f"{LOBBY}/events", last) as heard:
        await heard_by(site, "lobby", 2)
        await say(ann, LOBBY, "now")
        assert json.loads((await heard.next())[2])["body"] == "now"


async def test_a_removed_message_is_taken_away_and_told_to_whoever_was_away(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site
) -> None:
    await say(ann, LOBBY, "a", "b", "c")
    async with following_as(bob, PAGE, "3") as heard:
        async with site.runtime.unit_of_work() as db:
            await remove_message(db, (await db.exec(select(Message).where(Message.number == 2))).one())
        assert (await heard.next())[1:] == ("4", '<li id="message-2" data-gone></li>')
    async with following_as(bob, f"{LOBBY}/events", "1") as heard:
        assert [(await heard.next())[:2] for _ in range(2)] == [("message", "3"), ("deleted", "4")]


async def test_whoever_loses_a_private_room_hears_no_more_of_it(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient
) -> None:
    den = f"{ROOMS}/den"
    async with following_as(bob, f"{den}/events", "0") as heard:
        await say(ann, den, "for both")
        assert (await heard.next())[1] == "1"
        await bob.post(f"{den}/leave")
        await say(ann, den, "for ann")
        assert (await heard.next())[0] == "closed"
    assert (await bob.get(f"{den}/events")).status_code == 404


async def test_a_room_that_becomes_private_or_is_deleted_ends_for_strangers(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site
) -> None:
    root = await site.come("Root")
    async with site.runtime.unit_of_work() as db:
        await db.exec(sa.update(User).where(col(User.email) == "root@example.com").values(is_superuser=True))
    room_id = await site.room("lobby")
    async with following_as(bob, f"{LOBBY}/events", "0") as heard:
        answer = await root.post(f"/admin/room/edit/{room_id}", data={"title": "Lobby", "private": "on"})
        assert answer.status_code in (200, 302, 303), answer.text
        assert (await heard.next())[0] == "gone"
    async with following_as(ann, f"{LOBBY}/events", "0") as heard:
        assert (await root.delete("/admin/room/delete", params={"pks": str(room_id)})).status_code == 200
        assert (await heard.next())[0] == "gone"


async def test_a_right_that_is_lost_without_a_word_counts_for_seconds_only(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "STALE", 0.0)
    den = f"{ROOMS}/den"
    async with following_as(bob, f"{den}/events", "0") as heard:
        await say(ann, den, "for both")
        await heard.next()
        async with site.runtime.unit_of_work() as db:
            await db.exec(sa.delete(Member))
        await say(ann, den, "for ann")
        assert (await heard.next())[0] == "gone"


async def test_who_is_writing_is_told_to_the_others(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    async with following_as(bob, PAGE, "0") as heard, following_as(ann, f"{LOBBY}/events", "0") as own:
        await say(ann, LOBBY, "hello")
        await heard.next()
        await own.next()
        assert (await ann.post("/realtime/rooms/lobby/typing")).status_code == 204
        assert "Ann is writing" in (await heard.next())[2]
        await say(ann, LOBBY, "done")
        assert json.loads((await own.next())[2])["body"] == "done", "nobody is told of their own writing"


async def test_who_is_there_is_told_as_people_come_and_go(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site
) -> None:
    nameless = await site.come("")
    async with following_as(ann, f"{LOBBY}/events") as heard:
        await until_named(heard, "Ann")
        async with following_as(bob, PAGE) as page, following_as(bob, PAGE):
            await until_named(heard, "Ann", "Bob")
            while "<bdi>Ann</bdi>, <bdi>Bob</bdi>" not in (await page.next(presence=True))[2]:
                pass
            people = (await bob.get(f"{LOBBY}/presence")).json()
            assert ([each["name"] for each in people["people"]], people["total"]) == (["Ann", "Bob"], 2)
        await until_named(heard, "Ann")
        async with following_as(nameless, PAGE):
            told = await heard.next(presence=True)
            assert "Guest " in told[2]
            assert "@" not in told[2] + (await ann.get("/realtime/rooms/lobby")).text.replace("ann@example.com", "")
        await heard.next(presence=True)
    while (await ann.get(f"{LOBBY}/presence")).json()["total"]:
        pass
    assert (await bob.get(f"{ROOMS}/den/presence")).status_code == 200
    assert (await nameless.get(f"{ROOMS}/den/presence")).status_code == 404


async def until_named(heard: Heard, *names: str) -> None:
    """Return when these people are there, and nobody else."""
    while [each["name"] for each in json.loads((await heard.next(presence=True))[2])["people"]] != [*names]:
        pass


async def test_a_message_is_drawn_once_in_a_process(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    usual = Feed.drawn

    def count(feed: Feed, event: Event, draw: following.Draw) -> str:
        return usual(feed, event, lambda each: drawn.append(each.id) or draw(each))  # type: ignore[func-returns-value]

    monkeypatch.setattr(Feed, "drawn", count)
    async with following_as(ann, PAGE, "0") as one, following_as(bob, PAGE, "0") as two:
        await say(ann, LOBBY, "hello")
        assert (await one.next())[2] == (await two.next())[2]
    assert drawn.count("1") == 1


async def test_no_database_is_asked_for_what_the_bus_brings(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def counted(*args: object) -> object:
        asked.append(args)
        return await happened(*args)  # type: ignore[arg-type]

    async with following_as(bob, f"{LOBBY}/events", "0") as heard:
        await say(ann, LOBBY, "a")
        await heard.next()
        monkeypatch.setattr(feeds, "happened", counted)
        await say(ann, LOBBY, "b", "c")
        assert [(await heard.next())[1] for _ in range(2)] == ["2", "3"]
    assert asked == []


async def test_a_bus_that_loses_doubles_and_mixes_up_changes_nothing(
    ann: httpx2.AsyncClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = site.runtime.bus
    held: list[tuple[str, bytes]] = []
    usual = bus.send
    monkeypatch.setattr(bus, "send", lambda name, encoded: held.append((name, encoded)))
    room_id = await site.room("lobby")
    async with site.runtime.find(Feeds).follow(room_id) as feed:
        await say(ann, LOBBY, *"abcdef")
        assert len(held) == 6
        for index in (1, 0, 0, 3, 5, 4, 3):  # the third is lost
            usual(*held[index])
            await feed.hear()
        assert [int(each.id) for each in await feed.since(0)] == [1, 2, 3, 4, 5, 6]
        await say(ann, LOBBY, "g")
        await bus.publish(topic(room_id), ACCESS)
        bus.deliver(topic(room_id), b'{"type": "gap"}')
        await feed.hear()
        assert feed.newest == 7
    assert GAP.type == "gap"


async def test_whoever_has_read_further_than_the_bus_has_told_is_not_sent_back(
    ann: httpx2.AsyncClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(ann, LOBBY, "a")
    async with site.runtime.find(Feeds).follow(await site.room("lobby")) as feed:
        monkeypatch.setattr(site.runtime.bus, "send", lambda *_: None)
        await say(ann, LOBBY, "b", "c")
        assert [int(each.id) for each in await feed.since(0)] == [1, 2, 3], "read from the table"
        await feed.hear()
        assert feed.newest == 3


async def test_what_comes_over_the_bus_while_the_log_is_read_stands_there_once(
    ann: httpx2.AsyncClient, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, hearing = list[tuple[str, bytes]](), list[asyncio.Task[None]]()
    usual = site.runtime.bus.send
    await say(ann, LOBBY, "a")
    async with site.runtime.find(Feeds).follow(await site.room("lobby")) as feed:
        monkeypatch.setattr(site.runtime.bus, "send", lambda name, encoded: held.append((name, encoded)))
        await say(ann, LOBBY, "b", "c")

        async def late(*args: object) -> object:
            found = await happened(*args)  # type: ignore[arg-type]
            await say(ann, LOBBY, "d")
            for each in held:
                usual(*each)
            hearing.append(asyncio.create_task(feed.hear()))
            await asyncio.sleep(0)
            return found

        monkeypatch.setattr(feeds, "happened", late)
        usual(*held[1])
        await feed.hear()
        await asyncio.gather(*hearing)
        assert ([int(each.id) for each in await feed.since(1)], feed.newest) == ([2, 3, 4], 4)


async def test_those_who_come_together_begin_at_the_same_place(ann: httpx2.AsyncClient, site: Site) -> None:
    await say(ann, LOBBY, "a", "b")
    room_id, feeds = await site.room("lobby"), site.runtime.find(Feeds)

    async def begin() -> int:
        async with feeds.follow(room_id) as feed:
            return feed.newest

    assert await asyncio.gather(*(begin() for _ in range(4))) == [2] * 4


async def test_a_feed_ends_with_its_last_follower(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, site: Site) -> None:
    async with following_as(bob, f"{LOBBY}/events", "0") as heard:
        await say(ann, LOBBY, "a")
        await heard.next()
        await heard_by(site, "lobby", 2)
    await heard_by(site, "lobby", 0)
