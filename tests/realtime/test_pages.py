"""Rooms in a browser: with htmx and without, and what people say stays text."""

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import SignIn
from project.core.testing.htmx import HtmxPage
from project.core.testing.pages import Page
from tests.realtime.conftest import LOBBY, ROOMS, Person, bodies, say

pytestmark = pytest.mark.any_database

EVIL = '<img src=x onerror=alert(1)>"\'><a href="javascript:alert(1)" hx-get=/ data-hx-get=/>'


async def test_a_room_is_opened_and_spoken_in(either_page: Page, sign_in: SignIn, client: httpx2.AsyncClient) -> None:
    await sign_in(name="Ann")
    page = await either_page.open("/realtime").click("New room")
    await page.fill("Title", "Lobby").submit("Open it")
    assert (page.url, page.messages) == ("/realtime/rooms/lobby", ["The room is open."])
    await page.fill("Message", "hello\nworld").submit("Send")
    assert await bodies(client, LOBBY) == ["hello\nworld"]
    await page.open("/realtime/rooms/lobby")
    (message,) = page.document.css(".message")
    assert message.attributes["id"] == "message-1"
    assert "Ann" in message.text()


async def test_what_cannot_be_said_is_told_beside_the_line(
    either_page: Page, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await sign_in()
    await client.post(ROOMS, json={"title": "Lobby"})
    page = await either_page.open("/realtime/rooms/lobby").fill("Message", "a\x1bb").submit("Send")
    assert "cannot be shown" in page.text
    assert "Lobby" in page.text
    assert await bodies(client, LOBBY) == []


async def test_a_form_sent_twice_says_it_once(page: Page, sign_in: SignIn, client: httpx2.AsyncClient) -> None:
    await sign_in()
    await client.post(ROOMS, json={"title": "Lobby"})
    await page.open("/realtime/rooms/lobby")
    (token,) = [each.attributes["value"] for each in page.document.css(".composer [name=_once]")]
    form = {"body": "hello", "_once": token}
    for _ in range(2):
        assert (await client.post("/realtime/rooms/lobby", data=form)).status_code == 303
    assert await bodies(client, LOBBY) == ["hello"]


async def test_rooms_are_searched_joined_and_left(either_page: Page, sign_in: SignIn, person: Person) -> None:
    ann = await person("Ann Arbor")
    for title in ("Lobby", "Garden"):
        await ann.post(ROOMS, json={"title": title})
    await sign_in("bob@example.com")
    page = await either_page.open("/realtime/rooms").fill("Search the rooms", "gard").submit("Search")
    assert ("Garden" in page.text, "Lobby" in page.text) == (True, False)
    await page.fill("Search the rooms", "nowhere").submit("Search")
    assert "Nothing found" in page.text
    await page.open("/realtime/rooms/garden").submit("Join")
    assert page.messages == ["You have joined."]
    await page.submit("Leave")
    assert (page.url, page.messages) == ("/realtime/rooms", ["You have left the room."])


async def test_somebody_is_invited(
    either_page: Page, sign_in: SignIn, person: Person, client: httpx2.AsyncClient
) -> None:
    bob = await person("Bob")
    await sign_in()
    await client.post(ROOMS, json={"title": "Den", "private": True})
    page = (
        await either_page.open("/realtime/rooms/den").click("Invite").fill("E-mail", "bob@example.com").submit("Invite")
    )
    assert page.messages == ["If they have an account here, they find the room now."]
    assert (await bob.get("/realtime/rooms/den")).status_code == 200
    assert (await bob.get("/realtime/rooms/den/invite")).status_code == 404


@pytest.mark.parametrize("path", ["", "/events", "/invite"])
async def test_a_private_room_has_no_page_for_others(path: str, person: Person, den: str) -> None:
    eve = await person("Eve")
    assert (await eve.get(f"/realtime/rooms/den{path}")).status_code == 404
    for action in ("", "/join", "/leave", "/typing"):
        refused = await eve.post(f"/realtime/rooms/den{action}", data={"body": "hello"})
        assert refused.status_code == 404, action


async def test_strangers_are_sent_to_the_log_in(page: Page, lobby: str) -> None:
    assert (await page.open("/realtime/rooms/lobby")).url.startswith("/accounts/login?next=")


async def test_the_latest_are_shown_and_earlier_ones_on_the_way_up(
    sign_in: SignIn, client: httpx2.AsyncClient, app: FastAPI, page: Page, htmx_page: HtmxPage, person: Person
) -> None:
    await sign_in()
    await client.post(ROOMS, json={"title": "Lobby"})
    for name in ("Bob", "Cleo"):
        await say(await person(name), LOBBY, *(f"{name} {number}" for number in range(60)))
    await page.open("/realtime/rooms/lobby")
    assert [each.text() for each in page.document.css(".message-body")][::49] == ["Cleo 10", "Cleo 59"]
    await page.click("Earlier messages")
    assert [each.text() for each in page.document.css(".message-body")][::49] == ["Bob 20", "Cleo 9"]
    assert not page.document.css("[data-stream]")
    await page.click("Back to the latest")
    assert "Cleo 59" in page.text
    await htmx_page.open("/realtime/rooms/lobby").click("Earlier messages")
    ids = [each.attributes["id"] for each in htmx_page.document.css(".message")]
    assert ids == [f"message-{number}" for number in range(21, 121)]
    await htmx_page.click("Earlier messages")
    assert "Earlier messages" not in htmx_page.text


async def test_what_people_say_and_are_called_is_text(
    either_page: Page, sign_in: SignIn, client: httpx2.AsyncClient
) -> None:
    await sign_in(name=EVIL)
    await client.post(ROOMS, json={"title": EVIL, "slug": "lobby"})
    await say(client, LOBBY, EVIL)
    for path in ("/realtime/rooms", "/realtime/rooms/lobby"):
        page = await either_page.open(path)
        assert "<img src=x onerror=alert(1)>" in page.text
        assert not page.document.css("img[src=x], [onerror], [href^=javascript], [hx-get='/'], [data-hx-get]")


async def test_the_admin_shows_rooms_members_and_messages_as_text(
    client: httpx2.AsyncClient, sign_in: SignIn, lobby: str, ann: httpx2.AsyncClient
) -> None:
    await say(ann, lobby, EVIL)
    await sign_in("root@example.com", is_superuser=True)
    for view in ("room", "member", "message"):
        answer = await client.get(f"/admin/{view}/list")
        assert answer.status_code == 200
        assert "<img src=x" not in answer.text
    assert "onerror" in (await client.get("/admin/message/list")).text
