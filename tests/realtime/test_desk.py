"""The desk: what is said at once over sockets is saved together, each as if they had spoken alone."""

import asyncio
from contextlib import AbstractAsyncContextManager
from uuid import uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from apps.accounts.testing import add_user
from apps.realtime.desk import Desk
from apps.realtime.models import Member, Message, Room
from project.core import AsyncSession, NotFound, Principal, Runtime

Crowd = list[Principal]
SECONDS = 15


@pytest.fixture
def runtime(live_app: FastAPI) -> Runtime:
    """Of a site whose commits are real."""
    found: Runtime = live_app.state.runtime
    return found


@pytest.fixture
async def crowd(live_app: FastAPI, runtime: Runtime) -> Crowd:
    """Ann, who owns the private den beside the lobby, then others."""
    users = [await add_user(live_app, f"{name}@example.com", name=name) for name in ("ann", "bob", "cleo")]
    async with runtime.unit_of_work() as db:
        db.add_all(
            [Room(slug="lobby", title="Lobby"), Room(slug="den", title="Den", private=True, owner_id=users[0].id)]
        )
    return [Principal(each.id, each.email, each.name, uuid4()) for each in users]


async def said(runtime: Runtime) -> list[tuple[int, str]]:
    """What is in the tables, by its number; the room's counter has counted nothing else."""
    async with runtime.unit_of_work(write=False) as db:
        rows = (await db.exec(select(Message.number, Message.body).order_by(col(Message.number)))).all()
        assert sum((await db.exec(select(Room.latest))).all()) == len(rows)
    return list(rows)


async def test_what_is_said_at_once_is_saved_in_order_in_few_transactions(
    runtime: Runtime, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[bool] = []
    unit_of_work = runtime.unit_of_work

    def counting(*, write: bool = True) -> AbstractAsyncContextManager[AsyncSession]:
        begun.append(write)
        return unit_of_work(write=write)

    desk = Desk(runtime)
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "unit_of_work", counting)
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(desk.say(crowd[each % 3], "lobby", str(each)) for each in range(30)))
        await desk.say(crowd[0], "lobby", "later")
    assert await said(runtime) == [*((each + 1, str(each)) for each in range(30)), (31, "later")]
    assert len(begun) <= 3
    async with runtime.unit_of_work(write=False) as db:
        assert len((await db.exec(select(Member.id))).all()) == 3, "whoever speaks belongs to the room, once"


async def test_whoever_may_not_speak_harms_nobody_else_and_leaves_no_hole(runtime: Runtime, crowd: Crowd) -> None:
    ann, bob, _ = crowd
    desk = Desk(runtime)
    answers = await asyncio.gather(
        *(desk.say(who, "den", body) for who, body in [(ann, "a"), (bob, "b"), (ann, "c"), (bob, "d")]),
        return_exceptions=True,
    )
    assert [type(each) for each in answers] == [type(None), NotFound, type(None), NotFound]
    assert await said(runtime) == [(1, "a"), (2, "c")]


async def test_what_cannot_be_saved_harms_nobody_else(runtime: Runtime, crowd: Crowd) -> None:
    gone = Principal(uuid4(), "gone@example.com", "Gone", uuid4())
    desk = Desk(runtime)
    people = [crowd[0], crowd[1], gone, crowd[2]]
    answers = await asyncio.gather(*(desk.say(each, "lobby", each.name) for each in people), return_exceptions=True)
    assert [type(each) for each in answers] == [type(None), type(None), IntegrityError, type(None)]
    assert [body for _, body in await said(runtime)] == ["ann", "bob", "cleo"]
    await desk.say(crowd[0], "lobby", "again")
