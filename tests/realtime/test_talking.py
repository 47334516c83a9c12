"""Rooms over WebSocket: spoken in, followed, lost, and gone on with where one left."""

import json
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa
from sqlmodel import col
from websockets.exceptions import InvalidStatus

from apps.accounts import User
from apps.realtime import following
from apps.realtime.models import Room
from apps.realtime.services import tell_rights
from project.core.testing.sockets import Socket, connected
from tests.realtime.conftest import LOBBY, ROOMS, bodies, say
from tests.realtime.test_following import Site, ann, bob, site

pytestmark = pytest.mark.any_database

__all__ = ["ann", "bob", "site"]
WS = "/realtime/rooms/lobby/ws"


@pytest.fixture
async def socket(site: Site, ann: httpx2.AsyncClient) -> AsyncIterator[Socket]:
    """Ann in the lobby."""
    async with connected(site.app.state.address, WS, ann) as socket:
        yield socket


async def heard(socket: Socket, kind: str = "message") -> dict[str, object]:
    """The next frame of that kind."""
    while (frame := await socket.frame())["type"] != kind:
        pass
    found: dict[str, object] = frame
    return found


async def test_what_is_said_on_a_socket_is_heard_by_all_and_kept(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, socket: Socket
) -> None:
    async with connected(site.app.state.address, WS, bob) as other:
        await other.send({"type": "message", "body": " hello ", "author": "Ann", "room": "den", "id": 77})
        frames = [await heard(each) for each in (socket, other)]
    assert frames[0] == frames[1]
    assert frames[0] == {"type": "message"} | (await ann.get(f"{LOBBY}/messages")).json()["items"][0]
    assert (frames[0]["id"], frames[0]["body"]) == (1, "hello")


async def test_a_socket_goes_on_after_a_message(site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient) -> None:
    await say(ann, LOBBY, "a", "b", "c")
    async with connected(site.app.state.address, f"{WS}?after=1", bob) as socket:
        assert [(await heard(socket))["id"] for _ in range(2)] == [2, 3]
        await say(ann, LOBBY, "d")
        assert (await heard(socket))["id"] == 4
    async with connected(site.app.state.address, f"{WS}?after=9999", bob) as socket:
        await heard(socket, "presence")
        await say(ann, LOBBY, "e")
        assert (await heard(socket))["body"] == "e"


async def test_a_socket_says_who_is_there_and_who_is_writing(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, socket: Socket
) -> None:
    frame = await heard(socket, "presence")
    assert (frame["total"], [each["name"] for each in frame["people"]]) == (1, ["Ann"])  # type: ignore[attr-defined]
    async with connected(site.app.state.address, WS, bob) as other:
        while (await heard(socket, "presence"))["total"] != 2:
            pass
        await other.send({"type": "typing"})
        assert (await heard(socket, "typing"))["author"]["name"] == "Bob"  # type: ignore[index]
    while (await heard(socket, "presence"))["total"] != 1:
        pass


async def test_a_socket_can_hear_html(site: Site, ann: httpx2.AsyncClient) -> None:
    async with connected(site.app.state.address, f"{WS}?format=html", ann) as socket:
        assert 'id="presence"' in await socket.text()
        await say(ann, LOBBY, "<script>alert(1)</script>")
        while 'id="message-1"' not in (text := await socket.text()):
            pass
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        ({"type": "message", "body": ""}, "body"),
        ({"type": "message", "body": "x" * 4001}, "body"),
        ({"type": "message", "body": "a\x1bb"}, "body"),
        ({"type": "message"}, "body"),
        ({"type": "message", "body": {"a": 1}}, "body"),
        ({"type": "presence"}, ""),
        ({"body": "hello"}, ""),
        ([], ""),
        ("no json", ""),
        ('{"type": "message", "body": "a\\u0000b"}', ""),
        ('{"type": "message", "body": "\\ud800"}', ""),
    ],
    ids=str,
)
async def test_odd_frames_are_answered_and_the_socket_lives(
    ann: httpx2.AsyncClient, socket: Socket, frame: object, field: str
) -> None:
    await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
    error = await heard(socket, "error")
    assert error["code"] in ("invalid", "bad_request")
    if field:
        assert any(each["field"].endswith(field) for each in error["errors"])  # type: ignore[attr-defined]
    await socket.send({"type": "message", "body": "fine"})
    assert (await heard(socket))["id"] == 1


async def test_saying_too_much_on_a_socket_is_refused_by_the_rate_of_all_doors(
    ann: httpx2.AsyncClient, socket: Socket
) -> None:
    await say(ann, LOBBY, *["hello"] * 60)
    await socket.send({"type": "message", "body": "more"})
    assert (await heard(socket, "error"))["code"] == "too_many"
    assert len(await bodies(ann, LOBBY, limit=100)) == 60


@pytest.mark.parametrize("path", ["/realtime/rooms/den/ws", "/realtime/rooms/nowhere/ws"])
async def test_a_foreign_room_cannot_be_entered(site: Site, ann: httpx2.AsyncClient, path: str) -> None:
    eve = await site.come("Eve")
    with pytest.raises(InvalidStatus) as refused:
        async with connected(site.app.state.address, path, eve):
            pass
    assert refused.value.response.status_code == 404


@pytest.mark.parametrize("path", [WS, "/realtime/echo"])
async def test_strangers_and_other_sites_are_refused_before_the_socket_opens(
    site: Site, ann: httpx2.AsyncClient, path: str
) -> None:
    for client, options, status in [
        (None, {}, 401),
        (ann, {"origin": "https://evil.example"}, 403),
        (ann, {"origin": "null"}, 403),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            async with connected(site.app.state.address, path, client, **options):
                pass
        assert refused.value.response.status_code == status


async def test_whoever_leaves_a_private_room_hears_no_more(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient
) -> None:
    den = f"{ROOMS}/den"
    async with connected(site.app.state.address, "/realtime/rooms/den/ws", bob) as socket:
        await say(ann, den, "for both")
        await heard(socket)
        await bob.post(f"{den}/leave")
        await say(ann, den, "for ann")
        assert await socket.closed() == 4403


async def test_a_room_that_becomes_private_closes_the_sockets_of_strangers(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, socket: Socket
) -> None:
    async with connected(site.app.state.address, WS, bob) as other:
        await heard(other, "presence")
        room_id = await site.room("lobby")
        async with site.runtime.unit_of_work() as db:
            await db.exec(sa.update(Room).values(private=True))
            await tell_rights(db, room_id)
        assert await other.closed() == 4403
    await socket.send({"type": "message", "body": "still here"})
    assert (await heard(socket))["body"] == "still here"


async def test_a_right_that_is_lost_without_a_word_is_found_out(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "RECHECK", 0.05)
    async with connected(site.app.state.address, WS, bob) as socket:
        await heard(socket, "presence")
        async with site.runtime.unit_of_work() as db:
            await db.exec(sa.update(Room).values(private=True))
        assert await socket.closed() == 4403


async def test_whoever_lost_a_room_cannot_speak_in_it_however_open_the_socket(
    site: Site, ann: httpx2.AsyncClient, bob: httpx2.AsyncClient
) -> None:
    async with connected(site.app.state.address, WS, bob) as socket:
        await heard(socket, "presence")
        async with site.runtime.unit_of_work() as db:
            await db.exec(sa.update(Room).values(private=True))
        await socket.send({"type": "message", "body": "hello"})
        assert (await heard(socket, "error"))["code"] == "not_found"
    assert await bodies(ann, LOBBY) == []


async def test_the_echo_says_it_again(site: Site, ann: httpx2.AsyncClient) -> None:
    async with connected(site.app.state.address, "/realtime/echo", ann) as socket:
        for text in ("hello", "", "{not json", '"é"', "x" * 60_000):
            await socket.send(text)
            assert await socket.text() == f"echo: {text}"


async def test_the_echo_has_the_limits_of_every_socket(site: Site, ann: httpx2.AsyncClient) -> None:
    async with connected(site.app.state.address, "/realtime/echo", ann) as socket:
        await socket.send("x" * 70_000)
        assert await socket.closed() == 1009
    async with site.runtime.unit_of_work() as db:
        await db.exec(sa.update(User).where(col(User.email) == "ann@example.com").values(is_active=False))
    with pytest.raises(InvalidStatus):
        async with connected(site.app.state.address, "/realtime/echo", ann):
            pass
