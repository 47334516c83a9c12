"""Rooms over JSON: who opens, finds, joins and leaves them."""

import httpx2
import pytest

from tests.realtime.conftest import LOBBY, ROOMS, Person, bodies, say

pytestmark = pytest.mark.any_database


async def test_a_room_is_opened_and_found(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    answer = await ann.post(ROOMS, json={"slug": "lobby", "title": "  Lobby ", "private": False})
    assert (answer.status_code, answer.headers["location"]) == (201, LOBBY)
    room = answer.json()
    assert (room["slug"], room["title"], room["private"], room["joined"]) == ("lobby", "Lobby", False, True)
    assert (await bob.get(LOBBY)).json() == room | {"joined": False}
    assert [each["slug"] for each in (await bob.get(ROOMS, params={"q": "LOB"})).json()["items"]] == ["lobby"]
    assert (await bob.get(ROOMS, params={"q": "%"})).json()["total"] == 0


async def test_a_short_name_is_made_from_the_title(ann: httpx2.AsyncClient) -> None:
    assert (await ann.post(ROOMS, json={"title": "Über uns, all!"})).json()["slug"] == "uber-uns-all"
    refused = await ann.post(ROOMS, json={"title": "家"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "slug")


async def test_a_short_name_is_given_once(ann: httpx2.AsyncClient, lobby: str) -> None:
    refused = await ann.post(ROOMS, json={"slug": "lobby", "title": "Another"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (409, "slug")


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "new"},
        {"slug": "Lobby"},
        {"slug": "a/b"},
        {"slug": "-a"},
        {"slug": "a" * 61},
        {"title": ""},
        {"title": "a\nb"},
        {"title": "a\x00b"},
        {"title": "x" * 121},
        {"title": "new"},
        {"private": "perhaps"},
    ],
    ids=repr,
)
async def test_odd_rooms_are_refused_in_words(ann: httpx2.AsyncClient, wrong: dict[str, object]) -> None:
    refused = await ann.post(ROOMS, json={"title": "Fine"} | wrong)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert (await ann.get(ROOMS)).json()["total"] == 0


async def test_what_is_not_asked_for_is_not_set(ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, lobby: str) -> None:
    more = {"id": 7, "latest": 99, "owner_id": "0197a0b0-0000-7000-8000-000000000000", "author": "Ann", "room": "den"}
    await bob.post(ROOMS, json={"title": "Mine"} | more)
    assert (await bob.post(f"{ROOMS}/mine/members", json={"email": "ann@example.com"})).status_code == 204
    posted = await bob.post(f"{lobby}/messages", json={"body": "hello"} | more | {"removed": True, "number": 9})
    assert (posted.json()["id"], posted.json()["author"]["name"], posted.json()["room"]) == (1, "Bob", "lobby")


async def test_a_private_room_is_not_there_for_others(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, den: str
) -> None:
    await say(ann, den, "secret")
    missing = f"{ROOMS}/nowhere"
    for method, path, body in [
        ("GET", "", None),
        ("GET", "/messages", None),
        ("GET", "/events", None),
        ("POST", "/messages", {"body": "hello"}),
        ("POST", "/join", None),
        ("POST", "/leave", None),
        ("POST", "/members", {"email": "bob@example.com"}),
    ]:
        foreign, none = [await bob.request(method, room + path, json=body) for room in (den, missing)]
        assert foreign.status_code == 404, path
        assert foreign.json() | {"request_id": ""} == none.json() | {"request_id": ""}, path
    assert (await bob.get(ROOMS)).json()["total"] == 0
    assert (await bob.get(ROOMS, params={"q": "den"})).json()["total"] == 0
    assert await bodies(ann, den) == ["secret"]


async def test_whoever_is_invited_finds_a_private_room(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, den: str
) -> None:
    known = await ann.post(f"{den}/members", json={"email": "Bob@Example.com"})
    unknown = await ann.post(f"{den}/members", json={"email": "nobody@example.com"})
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (204, b"")
    assert (await bob.get(den)).json()["joined"] is True
    await say(bob, den, "thanks")
    assert (await bob.post(f"{den}/members", json={"email": "eve@example.com"})).status_code == 404


async def test_whoever_leaves_a_private_room_does_not_find_it_again(
    ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, den: str
) -> None:
    await ann.post(f"{den}/members", json={"email": "bob@example.com"})
    assert (await bob.post(f"{den}/leave")).status_code == 204
    assert (await bob.get(den)).status_code == (await bob.post(f"{den}/join")).status_code == 404
    assert (await ann.post(f"{den}/leave")).status_code == 204
    assert (await ann.post(f"{den}/join")).json()["joined"] is True


async def test_joining_and_leaving_are_done_once(bob: httpx2.AsyncClient, lobby: str) -> None:
    for joined in (True, True):
        assert (await bob.post(f"{lobby}/join")).json()["joined"] is joined
    assert [each["slug"] for each in (await bob.get(ROOMS, params={"mine": True})).json()["items"]] == ["lobby"]
    for _ in range(2):
        assert (await bob.post(f"{lobby}/leave")).status_code == 204
    assert (await bob.get(ROOMS, params={"mine": True})).json()["total"] == 0


async def test_whoever_speaks_in_a_public_room_belongs_to_it(bob: httpx2.AsyncClient, lobby: str) -> None:
    await say(bob, lobby, "hello")
    assert (await bob.get(lobby)).json()["joined"] is True


async def test_rooms_with_the_latest_message_stand_first(ann: httpx2.AsyncClient, lobby: str) -> None:
    await ann.post(ROOMS, json={"title": "Later"})
    await say(ann, lobby, "hello")
    assert [each["slug"] for each in (await ann.get(ROOMS)).json()["items"]] == ["lobby", "later"]


async def test_opening_rooms_has_a_rate(ann: httpx2.AsyncClient) -> None:
    answers = [(await ann.post(ROOMS, json={"title": f"Room {number}"})).status_code for number in range(21)]
    assert answers == [201] * 20 + [429]


async def test_nobody_is_shown_by_their_e_mail(ann: httpx2.AsyncClient, person: Person, lobby: str) -> None:
    await say(await person(""), lobby, "hello")
    text = (await ann.get(f"{lobby}/messages")).text
    assert "Guest " in text
    assert "@" not in text
