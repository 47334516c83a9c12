"""People and sessions in the admin: what staff may do, and what only superusers may."""

import re
from asyncio import Barrier
from uuid import uuid4

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, every, sign_in_as
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

STAFF = every("accounts.user", "accounts.session")
ON = {"is_active": "y", "is_staff": "y", "is_superuser": "y", "is_verified": "y"}


def form(name: str = "Ann", *on: str) -> dict[str, str]:
    return {"name": name, "save": "Save"} | {flag: ON[flag] for flag in on}


async def test_no_hash_and_no_token_is_ever_shown(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in(is_superuser=True)
    session = (await db.exec(select(Session))).one()
    pages = [
        await client.get(f"/admin/{path}")
        for path in (
            "user/list",
            f"user/details/{user.id}",
            f"user/edit/{user.id}",
            "user/export/csv",
            "user/export/json",
            "session/list",
            f"session/details/{session.id}",
            "session/export/csv",
            "session/export/json",
        )
    ]
    for page in pages:
        assert page.status_code == 200
        assert not re.search(r"argon2|hashed_password|token_hash|Token hash|Hashed", page.text)
        assert session.token_hash not in page.text
    assert "ann@example.com" in pages[0].text
    assert str(user.id) in pages[5].text


async def test_neither_people_nor_sessions_are_made_here(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_superuser=True)
    for identity in ("user", "session"):
        assert (await client.get(f"/admin/{identity}/create")).status_code == 403
        assert (await client.post(f"/admin/{identity}/create", data={"save": "Save"})).status_code == 403


async def test_staff_cannot_make_anybody_staff(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    me = await sign_in("staff@example.com", is_staff=True, permissions=STAFF)
    other = await make_user("bob@example.com")
    page = (await client.get(f"/admin/user/edit/{other.id}")).text
    assert 'name="is_active"' in page
    assert not re.search('name="is_(staff|superuser)"', page)
    for user in (me, other):
        answer = await client.post(f"/admin/user/edit/{user.id}", data=form("Changed", *ON))
        assert answer.status_code == 302
    db.expire_all()
    people = (await db.exec(select(User).order_by(User.email))).all()
    assert [(p.name, p.is_staff, p.is_superuser) for p in people] == [
        ("Changed", False, False),
        ("Changed", True, False),
    ]


async def test_a_superuser_makes_somebody_staff(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    await sign_in(is_superuser=True)
    other = await make_user("bob@example.com")
    assert (await client.post(f"/admin/user/edit/{other.id}", data=form("Bob", *ON))).status_code == 302
    db.expire_all()
    assert (await db.get_one(User, other.id)).is_superuser


async def test_a_superuser_is_out_of_reach_for_staff(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    root = await make_user("root@example.com", is_superuser=True)
    await sign_in("staff@example.com", is_staff=True, permissions=STAFF)
    assert (await client.get(f"/admin/user/edit/{root.id}")).status_code == 403
    assert (await client.post(f"/admin/user/edit/{root.id}", data=form("Mine"))).status_code == 403
    assert (await client.delete(f"/admin/user/delete?pks={root.id}")).status_code == 403
    db.expire_all()
    assert (await db.get_one(User, root.id)).is_active


async def test_a_person_who_is_not_there_is_a_404(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_staff=True, permissions=STAFF)
    nobody = uuid4()
    for answer in (
        await client.get(f"/admin/user/details/{nobody}"),
        await client.get(f"/admin/user/edit/{nobody}"),
        await client.delete(f"/admin/user/delete?pks={nobody}"),
    ):
        assert answer.status_code == 404


async def test_nobody_deletes_their_own_account_here(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    other = await make_user("bob@example.com")
    me = await sign_in("staff@example.com", is_staff=True, permissions=STAFF)
    answer = await client.delete(f"/admin/user/delete?pks={other.id},{me.id}")
    assert answer.status_code == 409
    assert "your own account" in answer.text
    db.expire_all()
    assert len((await db.exec(select(User))).all()) == 2


@pytest.mark.parametrize("kept", [["is_active", "is_staff"], ["is_superuser", "is_staff"]])
async def test_the_last_active_superuser_stays(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession, kept: list[str]
) -> None:
    me = await sign_in(is_superuser=True)
    await make_user("away@example.com", is_superuser=True, is_active=False)
    answer = await client.post(f"/admin/user/edit/{me.id}", data=form("Ann", *kept))
    assert answer.status_code == 409
    assert "This is the last active superuser." in answer.text
    db.expire_all()
    user = await db.get_one(User, me.id)
    assert user.is_active
    assert user.is_superuser
    await make_user("second@example.com", is_superuser=True)
    assert (await client.post(f"/admin/user/edit/{me.id}", data=form("Ann", *kept))).status_code == 302


async def test_two_superusers_cannot_remove_each_other_at_once(live_app: FastAPI, new_client: NewClient) -> None:
    people = [await add_user(live_app, f"{name}@example.com", is_superuser=True) for name in ("ann", "bob")]
    clients = [new_client(live_app) for _ in people]
    for client, user in zip(clients, people, strict=True):
        await sign_in_as(client, live_app, user)

    both = Barrier(2)

    async def demote(client: httpx2.AsyncClient, user: User) -> None:
        await client.get("/admin/user/list")  # a connection for each is open before they race
        await both.wait()
        await client.post(f"/admin/user/edit/{user.id}", data=form("Ann", "is_active", "is_staff"))

    async with anyio.create_task_group() as tasks:
        for client, other in zip(clients, reversed(people), strict=True):
            tasks.start_soon(demote, client, other)
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        assert len((await db.exec(select(User).where(User.is_superuser))).all()) == 1


async def test_deleting_a_session_signs_it_out(
    client: httpx2.AsyncClient, sign_in: SignIn, new_client: NewClient, db: AsyncSession
) -> None:
    other = new_client(client._transport.app)  # type: ignore[attr-defined]
    await sign_in("bob@example.com", into=other)
    session = (await db.exec(select(Session))).one()
    await sign_in("staff@example.com", is_staff=True, permissions=STAFF)
    assert (await other.get("/accounts/profile")).status_code == 200
    assert (await client.delete(f"/admin/session/delete?pks={session.id}")).status_code == 200
    assert (await other.get("/accounts/profile")).status_code == 303


async def test_people_are_found_by_e_mail_and_by_filter(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser
) -> None:
    await sign_in("root@example.com", name="Root", is_superuser=True)
    await make_user("gone@example.com", is_active=False)
    page = (await client.get("/admin/user/list?search=GONE%40")).text
    assert "gone@example.com" in page
    assert "root@example.com" not in page
    page = (await client.get("/admin/user/list?is_active=true")).text
    assert "gone@example.com" not in page


async def test_an_admin_that_was_reached_without_a_session_is_reached_after_logging_in(
    client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user("staff@example.com", is_staff=True, permissions=STAFF)
    login = (await client.get("/admin/user/list")).headers["location"]
    assert login == "/accounts/login?next=/admin/user/list"
    data = {"email": "staff@example.com", "password": PASSWORD, "next": "/admin/user/list"}
    answer = await client.post("/accounts/login", data=data)
    assert answer.headers["location"] == "/admin/user/list"
    assert (await client.get("/admin/user/list")).status_code == 200


async def test_whoever_is_deactivated_is_signed_out_for_good(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in("boss@example.com", is_superuser=True)
    theirs = new_client(app)
    bob = await sign_in("bob@example.com", into=theirs)
    for flags in [(), ("is_active",)]:
        assert (await client.post(f"/admin/user/edit/{bob.id}", data=form("Bob", *flags))).status_code == 302
        assert (await theirs.get("/api/v1/accounts/me")).status_code == 401


async def test_staff_cannot_sign_a_superuser_out(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    boss = await sign_in("boss@example.com", into=new_client(app), is_superuser=True)
    await sign_in("staff@example.com", is_staff=True, permissions=STAFF)
    row = (await db.exec(select(Session).where(Session.user_id == boss.id))).one()
    assert (await client.delete(f"/admin/session/delete?pks={row.id}")).status_code == 403
    assert (await db.exec(select(Session).where(Session.user_id == boss.id))).first() is not None
