"""Sockets over a real server: the same events as streams, both ways, and nobody waits for somebody slow."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Hashable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed, InvalidStatus

from apps.accounts import sessions
from apps.accounts.models import Session, User
from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.live import GAP, Bus, Event, hubs, revoke
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.signing import Signer
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.sockets import Socket, connected
from project.core.web import sockets
from project.core.web.server import SocketProtocol
from tests.core.conftest import INSTALLED
from tests.core.probe import live

pytestmark = pytest.mark.any_database

SECONDS = 15
STATE, LOG, TALK = "/probe/state", "/probe/log", "/probe/talk"


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The probe app, served; its address is `site.state.address`."""
    for kept in (live.KEPT, live.ASKED, live.RENDERED):
        kept.clear()
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        async with serving(app) as app.state.address:
            yield app


@pytest.fixture
def runtime(site: FastAPI) -> Runtime:
    found: Runtime = site.state.runtime
    return found


@asynccontextmanager
async def joined(site: FastAPI, path: str = LOG, user: Any = None, **options: Any) -> AsyncIterator[Socket]:
    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        if user:
            await sign_in_as(client, site, user)
        async with connected(site.state.address, path, client, **options) as socket:
            yield socket


def made(*numbers: int) -> list[Event]:
    return [Event("made", {"number": number}, id=str(number)) for number in numbers]


def ids(frames: list[Any]) -> list[str]:
    return [frame["id"] for frame in frames]


async def until(true: Any) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():  # noqa: ASYNC110 - the server tells nobody that it has noticed
            await asyncio.sleep(0.01)


async def until_following(runtime: Runtime, count: int = 1) -> None:
    def following() -> int:
        return sum(len(peers) for hub in runtime.bus.hubs.values() for peers in hub._joined.values())

    await until(lambda: following() == count)


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


# Before it is accepted


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://a.127.0.0.1", "http://127.0.0.1.evil.example", "https://{}", "http://{}0"],
    ids=["foreign", "null", "sub-domain", "suffix", "scheme", "port"],
)
async def test_a_page_of_another_site_opens_no_socket(site: FastAPI, origin: str) -> None:
    own = site.state.address.removeprefix("http://")
    with pytest.raises(InvalidStatus) as refused:
        async with joined(site, STATE, origin=origin.format(own)):
            pass
    assert refused.value.response.status_code == 403


async def test_a_page_of_this_site_opens_a_socket(site: FastAPI) -> None:
    async with joined(site, STATE, origin=site.state.address) as socket:
        await socket.frame()


async def test_nobody_is_refused_before_the_socket_is_accepted(site: FastAPI) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with joined(site, TALK):
            pass
    assert refused.value.response.status_code == 401
    assert b'"not_authenticated"' in (refused.value.response.body or b"")


async def test_one_visitor_has_so_many_sockets_at_once(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST", 1)
    ann, bob = await add_user(site), await add_user(site, "bob@example.com")
    async with joined(site, TALK, ann), joined(site, TALK, bob):
        with pytest.raises(InvalidStatus) as refused:
            async with joined(site, TALK, ann):
                pass
    assert refused.value.response.status_code == 429
    await until(lambda: not runtime.bus.sockets)
    async with joined(site, TALK, ann):
        pass


async def ticket_of(site: FastAPI, user: User) -> str:
    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        await sign_in_as(client, site, user)
        answer = await client.post("/api/v1/live/tickets")
        assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
        return str(answer.json()["ticket"])


async def test_a_ticket_opens_one_socket_of_its_session(site: FastAPI, runtime: Runtime) -> None:
    ann = await add_user(site)
    offered = ["uptempo", f"ticket.{await ticket_of(site, ann)}"]
    async with joined(site, TALK, subprotocols=offered) as socket:
        assert socket.connection.subprotocol == "uptempo"
        await socket.send({"body": "hi"})
        assert ann.email in {frame.get("by") for frame in await socket.frames(2)}
        with pytest.raises(InvalidStatus, match="401"):
            async with joined(site, TALK, subprotocols=offered):
                pass
        await until_following(runtime)
        async with runtime.unit_of_work() as db:
            await sessions.end_others(db, ann.id, keep=uuid4())
            await revoke(db, ann.id)
        assert await socket.closed() == 4401


async def test_an_api_token_is_given_no_ticket(site: FastAPI) -> None:
    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        await sign_in_as(client, site, await add_user(site))
        made = await client.post("/api/v1/accounts/api-tokens", json={"name": "script", "scopes": ["read", "write"]})
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    async with httpx2.AsyncClient(base_url=site.state.address, headers=headers) as program:
        answer = await program.post("/api/v1/live/tickets")
    assert (answer.status_code, answer.json()["code"]) == (403, "in_person")


@pytest.mark.parametrize("kind", ["forged", "expired", "access", "ended"])
async def test_what_is_no_ticket_opens_nothing(site: FastAPI, runtime: Runtime, kind: str) -> None:
    ann = await add_user(site)
    signer: Signer = site.state.signer
    ticket = await ticket_of(site, ann)
    if kind == "ended":
        async with runtime.unit_of_work() as db:
            await sessions.end_others(db, ann.id, keep=uuid4())
    session = signer.read("ticket.", ticket)["sub"]
    made = {"expired": signer.sign("ticket.", session, 0), "access": signer.sign("accounts.access", session, 30)}
    offered = ["uptempo", f"ticket.{made.get(kind, ticket)}{'x' if kind == 'forged' else ''}"]
    with pytest.raises(InvalidStatus, match="401"):
        async with joined(site, TALK, subprotocols=offered):
            pass


# What clients send


async def test_what_is_said_reaches_the_others_and_is_answered(site: FastAPI) -> None:
    ann, bob = await add_user(site), await add_user(site, "bob@example.com")
    async with joined(site, TALK, ann) as first, joined(site, TALK, bob) as second:
        await first.send({"type": "say", "body": "hi"})
        assert sorted(frame["type"] for frame in await first.frames(2)) == ["heard", "said"]
        assert await second.frame() == {"type": "said", "id": "1", "body": "hi", "by": ann.email}


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "{", "[1]", "7", "null", '{"body": NaN}', '{"body": "\\u0000"}', '{"body": "\\ud800"}', "[" * 60_000),
        *("{}", '{"body": 7}', '{"body": "twin"}'),
    ],
    ids=lambda garbage: garbage[:16] or "nothing",
)
async def test_garbage_is_answered_and_the_socket_stays(site: FastAPI, garbage: str) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send(garbage)
        answer = await socket.frame()
        assert (answer["type"], answer["code"]) in {("error", word) for word in ("bad_request", "invalid", "conflict")}
        await socket.send({"body": "hi"})
        assert {frame["type"] for frame in await socket.frames(2)} == {"said", "heard"}


async def test_the_fields_that_are_wrong_are_named(site: FastAPI) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        for frame in ({}, {"body": "twin"}):
            await socket.send(frame)
            assert [error["field"] for error in (await socket.frame())["errors"]] == ["body"]


async def test_what_no_frame_can_carry_is_replaced(site: FastAPI, runtime: Runtime) -> None:
    async with joined(site, STATE) as socket:
        await socket.frame()
        await runtime.bus.publish(live.TOPIC, Event("made", "a\ud800b"))
        assert (await socket.frame())["data"] == "a?b"


@pytest.mark.parametrize("frame", [b"\x00\xff", "x" * 65_537, '{"body": "bug"}'], ids=["bytes", "size", "bug"])
async def test_what_is_too_much_closes_the_socket(site: FastAPI, frame: str | bytes) -> None:
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send(frame)
        assert await socket.closed() == {b"\x00\xff": 1003, "x" * 65_537: 1009}.get(frame, 1011)


async def test_random_frames_leave_no_traceback_and_touch_nobody_else(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "RATE", 1e9)
    monkeypatch.setattr(sockets, "MOST", 1000)
    chance = random.Random(7)  # noqa: S311 - the same frames each time
    async with joined(site, STATE) as other, httpx2.AsyncClient(base_url=site.state.address) as client:
        await other.frame()
        await sign_in_as(client, site, await add_user(site))
        for _ in range(60):
            async with connected(site.state.address, TALK, client) as socket:
                with suppress(ConnectionClosed):
                    for _ in range(chance.randrange(1, 6)):
                        frame = chance.randbytes(chance.randrange(200))
                        await socket.connection.send(frame, text=chance.random() < 0.8)
                await socket.connection.close()
        await until_following(runtime)
        await runtime.bus.publish(live.TOPIC, Event("done"))
        assert (await other.frame())["type"] == "done"
    assert [record for record in caplog.records if record.exc_info] == []


async def test_text_that_is_no_text_closes_the_socket(site: FastAPI, caplog: pytest.LogCaptureFixture) -> None:
    async with joined(site, STATE) as socket:
        await socket.connection.send(b"\xff", text=True)
        assert await socket.closed() == 1007
    assert [record for record in caplog.records if record.exc_info] == []


async def test_a_frame_is_measured_whatever_the_server_allows(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGEST", 10)
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send("é" * 6)
        assert await socket.closed() == 1009


async def test_the_server_takes_no_larger_frame_in(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGEST", 1_000_000)
    async with joined(site, TALK, await add_user(site)) as socket:
        await socket.send("x" * 65_537)
        assert await socket.closed() == 1009


async def test_who_sends_too_fast_is_throttled_then_closed(site: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RATE": 100.0, "BURST": 3.0, "THROTTLED": 4}.items():
        monkeypatch.setattr(sockets, name, value)
    slept: list[float] = []
    sleep = asyncio.sleep

    async def sleeping(seconds: float) -> None:
        slept.extend([seconds] if 0 < seconds <= 0.05 else [])  # the server's own are longer
        await sleep(0)

    async with joined(site, TALK, await add_user(site)) as socket:
        monkeypatch.setattr(asyncio, "sleep", sleeping)
        for _ in range(20):
            await socket.send("{}")
        assert await socket.closed() == 1008
    assert len(slept) >= 4


# Who may no longer


async def test_sockets_end_everywhere_when_their_session_does(
    backend: Databases, make_settings: MakeSettings, redis_url: str
) -> None:
    async with backend.copy() as url:
        settings = make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED, REDIS_URL=redis_url)
        one, other = create_app(settings), create_app(settings)
        async with serving(one) as one.state.address, serving(other) as other.state.address:
            ann, bob = await add_user(one), await add_user(one, "bob@example.com")
            async with joined(other, TALK, ann) as hers, joined(other, TALK, bob) as his:
                await until_following(other.state.runtime, 2)
                async with one.state.runtime.unit_of_work() as db:
                    await sessions.end_others(db, ann.id, keep=uuid4())
                    await revoke(db, ann.id)
                assert await hers.closed() == 4401
                await his.send({"body": "still here"})
                assert {frame["type"] for frame in await his.frames(2)} == {"said", "heard"}


async def test_who_still_is_who_they_were_stays(site: FastAPI, runtime: Runtime) -> None:
    ann = await add_user(site)
    async with joined(site, TALK, ann) as socket:
        await until_following(runtime)
        async with runtime.unit_of_work() as db:
            await revoke(db, ann.id)
            await revoke(db, ann.id, topic="another/topic")
        await socket.send({"body": "hi"})
        assert {frame["type"] for frame in await socket.frames(2)} == {"said", "heard"}


async def test_who_lost_a_membership_is_closed_on_that_topic(site: FastAPI, runtime: Runtime) -> None:
    ann, bob = await add_user(site), await add_user(site, "bob@example.com")
    async with joined(site, TALK, ann) as hers, joined(site, TALK, bob) as his:
        await until_following(runtime, 2)
        async with runtime.unit_of_work() as db:
            await revoke(db, ann.id, topic=live.TOPIC)
        assert await hers.closed() == 4403
        await his.send({"body": "still here"})
        assert {frame["type"] for frame in await his.frames(2)} == {"said", "heard"}


async def test_a_revocation_that_was_lost_is_found_out(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RECHECK", 0.05)
    ann = await add_user(site)
    async with joined(site, TALK, ann) as socket:
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Session))
        assert await socket.closed() == 4401


async def test_a_socket_lasts_so_long_then_its_client_comes_again(
    site: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "RECHECK", 0.05)
    monkeypatch.setattr(sockets, "LONGEST", 0.0)
    async with joined(site, STATE) as socket:
        assert await socket.closed() == 1012


# Who does not read


class Slow:
    """A WebSocket whose server takes `room` messages, then makes the sender wait."""

    def __init__(self, room: int) -> None:
        self.room, self.sent, self.free = room, list[Any](), asyncio.Event()

    async def send(self, message: Any) -> None:
        if len(self.sent) >= self.room:
            await self.free.wait()
        self.sent.append(message)


def peer_of(slow: Slow) -> hubs.Peer:
    return hubs.Peer(slow, None, hubs.Feed(), False, "")  # type: ignore[arg-type]


async def test_what_the_server_does_not_take_waits_in_order() -> None:
    slow = Slow(room=2)
    peer = peer_of(slow)
    for number in range(6):
        peer.put({"type": str(number)})
    assert len(slow.sent) == 2
    slow.free.set()
    peer.put({"type": "6"})  # the server would take it at once
    await until(lambda: peer.sender is None)
    assert [message["type"] for message in slow.sent] == list("0123456")
    assert peer.code is None


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


async def test_a_full_queue_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hubs, "QUEUE", 3)
    peer = peer_of(Slow(room=0))
    for _ in range(4):
        peer.put({})
    codes = [peer.code]
    peer.put({})
    assert [*codes, peer.code, len(peer.waiting)] == [None, 1013, 0]
    assert peer.sender is not None
    peer.sender.cancel()


@pytest.mark.parametrize("waiting", [0, 1])
async def test_a_frame_that_does_not_get_through_closes_the_socket(
    monkeypatch: pytest.MonkeyPatch, waiting: int
) -> None:
    monkeypatch.setattr(hubs, "STALL", 0.01)
    peer = peer_of(Slow(room=0))
    for _ in range(1 + waiting):
        peer.put({})
    async with asyncio.timeout(SECONDS):
        await peer.stirred.wait()
    assert peer.code == 1013


async def test_a_client_that_never_reads_is_let_go_and_nobody_waits_for_it(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "GOODBYE", 0.01)
    lost: list[object] = []
    let_go = SocketProtocol.connection_lost
    monkeypatch.setattr(SocketProtocol, "connection_lost", lambda own, error: (lost.append(own), let_go(own, error)))  # type: ignore[func-returns-value]
    host, port = site.state.address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    lines = [f"GET {STATE} HTTP/1.1", f"Host: {host}:{port}", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
    writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    await until_following(runtime)
    async with joined(site, STATE) as socket:
        await socket.frame()
        await until_following(runtime, 2)
        for number in range(3 * hubs.QUEUE):
            await runtime.bus.publish(live.TOPIC, Event("made", {"number": number, "text": "x" * 30_000}))
            assert (await socket.frame())["number"] == number
    await until(lambda: not runtime.bus.sockets and len(lost) == 2)
    writer.close()


async def test_sockets_are_told_to_come_again_when_the_process_stops(
    backend: Databases, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    spread: list[float] = []

    def uniform(least: float, most: float) -> float:
        spread.append(most)
        return least

    monkeypatch.setattr(random, "uniform", uniform)
    async with backend.copy() as url, AsyncExitStack() as stack:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        async with serving(app) as address:
            opened = [await stack.enter_async_context(connected(address, STATE)) for _ in range(3)]
            for socket in opened:
                await socket.frame()
        assert [await socket.closed() for socket in opened] == [1012] * 3
    assert spread[-3:] == [0.5] * 3  # seconds: half of the grace, at most three
