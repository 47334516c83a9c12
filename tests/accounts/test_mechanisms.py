"""Quiet mechanisms of accounts, each with a test that fails without it."""

import json
import sqlite3
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from starlette.requests import HTTPConnection

from apps.accounts.identity import ACCESS
from apps.accounts.manager import HASHER, UserManager
from apps.accounts.models import Session, User
from apps.accounts.schemas import UserCreate
from apps.accounts.services import open_browser_session
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user
from project.core import AsyncSession, Conflict, Invalid, Runtime, now
from project.core.signing import Signer
from project.core.testing.plugin import Manage, NewClient

ACCOUNTS = "/api/v1/accounts"
ME, LOGIN, CHANGE = f"{ACCOUNTS}/me", f"{ACCOUNTS}/login", f"{ACCOUNTS}/password/change"
ANN = {"email": "ann@example.com", "password": PASSWORD}
NEW = {"current_password": PASSWORD, "new_password": "a brand new one"}


async def test_sign_ups_are_limited_and_tries_count_for_the_mailbox_however_it_is_spelt(
    app: FastAPI, client: httpx2.AsyncClient
) -> None:
    for _ in range(20):
        await app.state.limiter.hit("accounts.signup", "127.0.0.1", "20/minute")
    for _ in range(10):
        await app.state.limiter.hit("accounts.login.account", "ann@example.com", "10/5 minutes")
    assert (await client.post(f"{ACCOUNTS}/users", json=ANN)).status_code == 429
    assert (await client.post(LOGIN, json=ANN | {"email": " ANN@Example.com"})).status_code == 429


async def test_a_new_password_leaves_everybody_elses_sessions_alone(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn
) -> None:
    bob = new_client(app)
    await sign_in("bob@example.com", into=bob)
    await sign_in()
    own_email = await client.post(CHANGE, json=NEW | {"new_password": "ANN@example.com"})
    assert (own_email.status_code, own_email.json()["errors"][0]["field"]) == (422, "new_password")
    assert (await client.post(CHANGE, json=NEW)).status_code == 204
    assert (await bob.get(ME)).status_code == 200


async def test_an_access_token_about_somebody_elses_session_is_nobodys(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, db: AsyncSession
) -> None:
    bob, ann = await make_user("bob@example.com"), await sign_in()
    sid, signer = str((await db.exec(select(Session.id))).one()), Signer(app.state.runtime.settings.keys)
    tokens = {signer.sign(ACCESS, str(person.id), 60, sid=sid): person is ann for person in (ann, bob)}
    for token, good in (tokens | {"none-at-all": False}).items():  # the good cookie beside it does not help
        answer = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == (200 if good else 401)
    assert (await client.get("/accounts/login?next=//evil.example")).headers["location"] == "/"


@pytest.mark.parametrize(("remember", "lasts"), [(False, timedelta(hours=24)), (True, timedelta(days=30))])
async def test_the_table_holds_the_end_of_a_session_and_no_token_that_opens_it(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession, remember: bool, lasts: timedelta
) -> None:
    await make_user()
    await client.post(LOGIN, json=ANN | {"remember": remember})
    row = (await db.exec(select(Session))).one()
    assert lasts - timedelta(minutes=1) < row.expires_at - now() <= lasts
    client.cookies.set("sid", row.token_hash, domain="127.0.0.1")
    assert (await client.get(ME)).status_code == 401


async def test_what_was_read_before_an_account_changed_opens_and_writes_nothing(
    runtime: Runtime, make_user: MakeUser
) -> None:
    ann, bob = await make_user(), await make_user("bob@example.com")
    async with runtime.unit_of_work() as db:
        (await db.get_one(User, ann.id)).is_active = False
        await UserManager(db, runtime).set_password(await db.get_one(User, bob.id), "a brand new one")
    conn = HTTPConnection({"type": "http", "headers": [], "client": None})
    with pytest.raises(Invalid):
        async with runtime.unit_of_work() as db:
            await open_browser_session(UserManager(db, runtime), conn, ann)
    with pytest.raises(Conflict):
        async with runtime.unit_of_work() as db:
            await UserManager(db, runtime).set_password(bob, "yet another one")


async def test_hashing_holds_no_connection_leaves_the_loop_and_is_done_for_nobody_too(
    live_app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, seen = live_app.state.runtime, []
    ann = await add_user(live_app)

    def work(result: Any) -> Any:
        seen.append((threading.current_thread().name[:4], runtime.database.engine.pool.checkedout()))
        return result

    monkeypatch.setattr(HASHER, "hash", lambda password: work(f"hash of {password}"))
    monkeypatch.setattr(HASHER, "verify_and_update", lambda *_: work((True, None)))
    for step in ("create", "set", "match"):
        async with runtime.unit_of_work() as db:
            manager = UserManager(db, runtime)
            await db.exec(select(User))
            if step == "create":
                await manager.create(UserCreate(email="bob@example.com", password=PASSWORD))  # type: ignore[arg-type]
            elif step == "set":
                await manager.set_password(ann, "a brand new one")
            else:
                assert not await manager.password_matches(None, PASSWORD)
    assert seen == [("hash", 0)] * 3


def test_changepassword_ends_the_sessions_and_tokens_of_that_person_only_and_is_written_down(
    manage: Manage, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "db.sqlite3") as table:
        for email in ("ann@example.com", "bob@example.com"):
            assert manage("createsuperuser", "--email", email, input="long enough\n").exit_code == 0
        table.execute(
            "INSERT INTO accounts_session (id, token_hash, user_id, kind, remember, user_agent, address, created_at,"
            " last_seen_at, expires_at) SELECT id, id, id, 'browser', false, '', '', created_at, created_at, created_at"
            " FROM accounts_user"
        )
        table.execute(
            "INSERT INTO accounts_api_token (id, token_hash, user_id, name, scopes, created_at, expires_at)"
            " SELECT id, id, id, 'script', '[]', created_at, created_at FROM accounts_user"
        )
    assert "no account" in manage("changepassword", "nobody@example.com", input="a brand new one\n").output
    assert manage("changepassword", "ann@example.com", input="a brand new one\n").exit_code == 0
    for name in ("session", "api_token"):
        left = table.execute(f"SELECT email FROM accounts_{name} s JOIN accounts_user u ON s.user_id = u.id").fetchall()
        assert left == [("bob@example.com",)]
    assert table.execute("SELECT kind, detail FROM accounts_event").fetchall() == [
        ("password_changed", "at the terminal")
    ]
    (mail,) = table.execute("SELECT arguments FROM core_job WHERE name = 'core.send_mail'").fetchall()
    assert json.loads(mail[0])["to"] == "ann@example.com"
    assert "password_changed" in mail[0]
    table.close()
