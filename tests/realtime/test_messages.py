"""Messages over JSON: what may be said, in which order it stands, and how it is taken away."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts import User
from apps.realtime.messages import happened
from apps.realtime.models import Message, Room
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.testing.recorded import RecordedBus
from tests.realtime.conftest import LOBBY, ROOMS, Person, bodies, enter, say


async def test_what_is_said_is_listed(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, lobby: str) -> None:
    await say(ann, lobby, " hello \n", "one\n\ttwo")
    (message, other) = (await bob.get(f"{lobby}/messages")).json()["items"]
    assert (message["id"], message["room"], message["body"], other["body"]) == (1, "lobby", "hello", "one\n\ttwo")
    assert message["author"]["name"] == "Ann"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", message["created_at"])


async def test_messages_are_asked_for_from_where_one_left(ann: httpx2.AsyncClient, lobby: str) -> None:
    ids = await say(ann, lobby, *"abcde")
    assert ids == sorted(ids)
    assert await bodies(ann, lobby, after=ids[2]) == ["d", "e"]
    assert await bodies(ann, lobby, after=ids[4]) == []
    assert await bodies(ann, lobby, before=ids[3], sort="-id", limit=2) == ["c", "b"]
    answer = (await ann.get(f"{lobby}/messages", params={"limit": 2})).json()
    assert (answer["total"], [each["body"] for each in answer["items"]]) == (5, ["a", "b"])
    assert [each["body"] for each in (await ann.get(answer["next"])).json()["items"]] == ["c", "d"]


@pytest.mark.parametrize(
    "body",
    ["", "  \n ", "x" * 4001, "a\x00b", "\x1b[31m", "\x7f", 7, None, ["hello"], {"a": 1}],
    ids=["empty", "blank", "long", "nul", "escape", "delete", "number", "null", "list", "object"],
)
async def test_what_cannot_be_said_is_refused_in_words(ann: httpx2.AsyncClient, lobby: str, body: object) -> None:
    refused = await ann.post(f"{lobby}/messages", json={"body": body})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body")
    assert await say(ann, lobby, "x" * 4000) == [1], "what was refused has used no number"


async def test_half_a_character_is_refused(ann: httpx2.AsyncClient, lobby: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused = await ann.post(f"{lobby}/messages", content=rb'{"body": "\ud800"}', headers=headers)
    assert refused.status_code == 422


async def test_the_longest_message_of_the_widest_letters_is_told(
    ann: httpx2.AsyncClient, lobby: str, bus: RecordedBus
) -> None:
    await say(ann, lobby, "\N{GRINNING FACE}" * 4000)
    (event,) = [event for _, event in bus.published if event.type == "message"]
    assert (event.id, event.data) == ("1", None), "it is read by whoever hears of it"


async def test_what_is_said_is_published_after_it_is_saved(
    ann: httpx2.AsyncClient, lobby: str, bus: RecordedBus
) -> None:
    posted = (await ann.post(f"{lobby}/messages", json={"body": "hello"})).json()
    ((_, event),) = bus.published
    assert (event.type, event.id, event.data) == ("message", "1", posted)


async def test_saying_has_a_rate_for_all_rooms_together(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, lobby: str, den: str
) -> None:
    for room in (lobby, den):
        await say(ann, room, *["hello"] * 30)
    refused = await ann.post(f"{lobby}/messages", json={"body": "more"})
    assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
    await say(bob, lobby, "hello")


async def test_a_removed_message_is_gone_and_its_place_stays(
    ann: httpx2.AsyncClient, person: Person, app: FastAPI, lobby: str, bus: RecordedBus
) -> None:
    await say(ann, lobby, "one", "two", "three")
    runtime = app.state.runtime
    async with runtime.unit_of_work(write=False) as db:
        room = (await db.exec(select(Room))).one()
        message = (await db.exec(select(Message).where(Message.number == 2))).one()
    root = await person("Root")
    async with runtime.unit_of_work() as db:
        (await db.exec(select(User).where(User.email == "root@example.com"))).one().is_superuser = True
    answer = await root.delete("/admin/message/delete", params={"pks": str(message.id)})
    assert answer.status_code == 200
    assert await bodies(ann, lobby) == ["one", "three"]
    assert (bus.published[-1][1].type, bus.published[-1][1].data) == ("deleted", {"id": 2, "room": "lobby"})
    async with runtime.unit_of_work(write=False) as db:
        latest, events = await happened(db, room.id, 1)
        row = (await db.exec(select(Message).where(Message.number == 2))).one()
    assert [(each.type, each.id) for each in events] == [("message", "3"), ("deleted", "4")]
    assert (latest, row.body) == (4, "")
    await root.delete("/admin/message/delete", params={"pks": str(message.id)})
    assert await say(ann, lobby, "four") == [5], "removing it twice tells it once"


@pytest.fixture
async def crowd(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> AsyncIterator[tuple[FastAPI, list[httpx2.AsyncClient]]]:
    """Five people on a site of its own, where requests have transactions of their own."""
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        clients = [await enter(app, new_client(app), name) for name in ("Ann", "Bob", "Cleo", "Dan", "Eve")]
        await clients[0].post(ROOMS, json={"slug": "lobby", "title": "Lobby"})
        yield app, clients


async def test_ids_grow_without_holes_and_are_seen_in_order(crowd: tuple[FastAPI, list[httpx2.AsyncClient]]) -> None:
    """Whoever asks again and again for what is new gets each message once, while five people talk at once."""
    app, people = crowd
    runtime = app.state.runtime
    async with runtime.unit_of_work(write=False) as db:
        room_id = (await db.exec(select(Room.id))).one()
    seen: list[int] = []
    talking = asyncio.Event()

    async def read() -> None:
        while not talking.is_set():
            await more()
        while await more():
            pass

    async def more() -> bool:
        async with runtime.unit_of_work(write=False) as db:
            _, events = await happened(db, room_id, seen[-1] if seen else 0)
        seen.extend(int(each.id) for each in events)
        return bool(events)

    async def talk(client: httpx2.AsyncClient) -> list[int]:
        return await say(client, LOBBY, *map(str, range(20)))

    reader = asyncio.create_task(read())
    ids = await asyncio.gather(*map(talk, people))
    talking.set()
    await reader
    assert sorted(number for mine in ids for number in mine) == list(range(1, 101))
    assert seen == list(range(1, 101))
