"""Sockets: who is let in, and who is not."""

from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from websockets.exceptions import InvalidStatus

from apps.accounts import sessions
from apps.accounts.models import User
from apps.accounts.testing import add_user, sign_in_as
from project.core.live import revoke
from project.core.runtime import Runtime
from project.core.signing import Signer
from project.core.web import sockets
from tests.core.sockets.conftest import STATE, TALK, joined, until, until_following

pytestmark = pytest.mark.any_database


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
