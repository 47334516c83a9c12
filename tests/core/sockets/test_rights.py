"""Sockets: whoever has lost a right is closed, everywhere and in time."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import select
from starlette.requests import HTTPConnection

from apps.accounts import sessions
from apps.accounts.conf import AccountsSettings
from apps.accounts.models import Session
from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.db.models import now
from project.core.identity import Principal
from project.core.live import revoke, revoking
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.sockets import connected
from project.core.web import sockets
from tests.core.conftest import INSTALLED
from tests.core.probe import live
from tests.core.sockets.conftest import SECONDS, STATE, TALK, joined, until_following

pytestmark = pytest.mark.any_database


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
    monkeypatch.setattr(revoking, "RECHECK", 0.05)
    ann = await add_user(site)
    async with joined(site, TALK, ann) as socket:
        async with runtime.unit_of_work() as db:
            await db.execute(sa.delete(Session))
        assert await socket.closed() == 4401


@pytest.mark.parametrize("end", ["idle", "absolute"])
async def test_a_socket_ends_when_its_session_does_by_itself(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(revoking, "SOON", 0.05)
    conf, hours = runtime.conf(AccountsSettings), 1.5 / 3600
    short = conf.model_copy(update={"IDLE_HOURS" if end == "idle" else "SESSION_HOURS": hours})
    monkeypatch.setattr(runtime, "_conf", runtime._conf | {AccountsSettings: short})
    async with joined(site, STATE, await add_user(site)) as socket:
        await socket.frame()
        assert await socket.closed() == 4401  # in time: whoever waits longer than 15 s is a TimeoutError


async def test_who_only_listens_does_not_use_their_session_and_who_speaks_does(
    site: FastAPI, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await add_user(site)
    rested = sa.update(Session).values(last_seen_at=now() - timedelta(hours=12) + timedelta(seconds=SECONDS))
    asked = asyncio.Event()
    authenticate = runtime.registry.authenticate
    assert authenticate

    async def ask(runtime: Runtime, conn: HTTPConnection) -> Principal | None:
        found = await authenticate(runtime, conn)
        asked.set()
        return found

    async def seen() -> timedelta:
        async with runtime.unit_of_work(write=False) as db:
            return now() - (await db.exec(select(Session.last_seen_at))).one()

    async def rest() -> None:
        async with runtime.unit_of_work() as db:
            await db.execute(rested)
            await revoke(db, ann.id)

    async with httpx2.AsyncClient(base_url=site.state.address) as client:
        await sign_in_as(client, site, ann)
        await rest()
        async with connected(site.state.address, TALK, client) as socket:
            await until_following(runtime)
            monkeypatch.setattr(runtime.registry, "authenticate", ask)
            await rest()
            await asked.wait()
            assert await seen() > timedelta(hours=11)
            await socket.send({"body": "hi"})
            async with asyncio.timeout(SECONDS):
                while await seen() > timedelta(hours=1):  # noqa: ASYNC110 - a table tells nobody
                    await asyncio.sleep(0.01)


async def test_a_socket_lasts_so_long_then_its_client_comes_again(
    site: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoking, "RECHECK", 0.05)
    monkeypatch.setattr(sockets, "LONGEST", 0.0)
    async with joined(site, STATE) as socket:
        assert await socket.closed() == 1012
