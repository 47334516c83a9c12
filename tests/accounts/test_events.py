"""What happened to an account: written with what it tells, seen by its owner and by staff, bounded, no oracle."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts import events
from apps.accounts.kinds import WORDS, Kind
from apps.accounts.models import Event, Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, links_for
from project.core import AsyncSession, Conflict, Runtime, enqueue, now
from project.core.testing.jobs import Jobs
from project.core.testing.pages import Page
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
ME, LOGIN, EVENTS = f"{API}/me", f"{API}/login", f"{API}/events"
ANN = {"email": "ann@example.com", "password": PASSWORD}
WRONG = ANN | {"password": "not the password"}
CHANGE = {"current_password": PASSWORD, "new_password": "a brand new one"}
CONN = HTTPConnection({"type": "http", "headers": [(b"user-agent", b"curl/8")], "client": ("203.0.113.7", 1)})
OPEN = re.compile(r"user_id (IS NULL|= \S+)|\$\d+(::\w+)?|\?")  # of a statement: whose, and the values


async def kinds(db: AsyncSession) -> list[str]:
    """What was written so far, oldest first."""
    return list((await db.exec(select(Event.kind).order_by(col(Event.happened_at)))).all())


async def test_each_step_of_an_account_is_written_down(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, make_user: MakeUser, db: AsyncSession
) -> None:
    user, other = await make_user(), new_client(app)
    await other.post(LOGIN, json=WRONG)
    await client.post(LOGIN, json=ANN)
    await other.post("/accounts/login", data=ANN)
    await client.post("/accounts/sessions/end-others")
    made = (await client.post(f"{API}/api-tokens", json={"name": "script"})).json()
    await client.delete(f"{API}/api-tokens/{made['id']}")
    await client.post(f"{API}/password/change", json=CHANGE | {"current_password": "wrong"})
    await client.post(f"{API}/email/change", json={"new_email": "new@example.com", "password": PASSWORD})
    await client.post(f"{API}/password/change", json=CHANGE)
    person = await db.get_one(User, user.id, populate_existing=True)
    links = await links_for(app, person)
    await other.post(f"{API}/email/confirm", json={"token": links["/accounts/email/confirm"].partition("=")[2]})
    await client.post("/accounts/logout")
    person = await db.get_one(User, user.id, populate_existing=True)
    link = (await links_for(app, person))["/accounts/reset"].partition("=")[2]
    await other.post(f"{API}/password/reset", json={"token": link, "new_password": PASSWORD})
    told = ["sign_in_failed", "signed_in", "signed_in", "sessions_ended", "token_made", "token_revoked"]
    told += ["password_refused", "email_asked", "password_changed", "email_changed", "signed_out", "password_reset"]
    assert await kinds(db) == told
    rows = (await db.exec(select(Event))).all()
    assert {(row.user_id, row.address, row.device) for row in rows} == {(user.id, "127.0.0.1", "python-httpx2")}
    kept = repr([row.model_dump() for row in rows])
    assert not [secret for secret in (PASSWORD, "not the password", "argon2", made["token"], link) if secret in kept]


@pytest.mark.usefixtures("confirming")
async def test_a_password_guessed_at_the_link_that_opens_an_account_is_written_down(
    app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession
) -> None:
    link = (await links_for(app, await make_user()))["/accounts/verify"].partition("=")[2]
    answer = await client.post(f"{API}/verify/confirm", json={"token": link, "password": "not the password"})
    assert (answer.status_code, await kinds(db)) == (422, ["sign_in_failed"])


async def test_an_owner_reads_their_own_and_nobody_elses(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn
) -> None:
    await sign_in("bob@example.com", into=new_client(app))
    await client.post(LOGIN, json=WRONG | {"email": "bob@example.com"})
    await client.post(LOGIN, json=WRONG | {"email": "nobody@example.com"})
    await sign_in()
    body = (await client.get(EVENTS)).json()
    assert [(each["kind"], each["words"], each["device"]) for each in body["items"]] == [
        ("signed_in", "Logged in", "tests")
    ]
    page = (await client.get("/accounts/activity")).text
    assert (WORDS[Kind.SIGNED_IN] in page, WORDS[Kind.SIGN_IN_FAILED] in page) == (True, False)


async def test_what_is_rolled_back_leaves_no_event_and_no_event_goes_without_what_it_tells(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in()

    async def refuse(*_: Any, **__: Any) -> None:
        raise Conflict("at the last moment")

    monkeypatch.setattr("apps.accounts.notices.send_mail", refuse)
    assert (await client.post(f"{API}/password/change", json=CHANGE)).status_code == 409
    assert await kinds(db) == ["signed_in"]
    monkeypatch.undo()
    monkeypatch.setattr(events, "note", refuse)
    assert (await client.delete(f"{API}/sessions")).status_code == 409
    assert (await client.post(LOGIN, json=ANN)).status_code == 409
    assert len((await db.exec(select(Session))).all()) == 1


@pytest.mark.parametrize("whose", ["ann@example.com", "nobody@example.com"])
async def test_a_flood_of_failures_is_counted_and_does_not_fill_the_table(
    runtime: Runtime, make_user: MakeUser, db: AsyncSession, whose: str
) -> None:
    user = await make_user()
    for number in range(40):
        email = whose if "ann" in whose else f"{number}{whose}"
        await events.note_failure(runtime, email, Kind.SIGN_IN_FAILED, CONN)
    rows = (await db.exec(select(Event))).all()
    assert (len(rows), sum(row.count for row in rows)) == (events.MOST, 40)
    assert {row.user_id for row in rows} == {user.id if "ann" in whose else None}
    assert "nobody" not in repr([row.model_dump() for row in rows])


async def test_a_flood_about_one_hides_nothing_about_another_nor_of_another_kind(
    runtime: Runtime, make_user: MakeUser, db: AsyncSession
) -> None:
    ann, bob = await make_user(), await make_user("bob@example.com")
    for _ in range(events.MOST + 5):
        await events.note(db, ann.id, Kind.SIGN_IN_FAILED, CONN)
    await events.note(db, bob.id, Kind.SIGN_IN_FAILED, CONN)
    await events.note(db, ann.id, Kind.TOKEN_REUSED, CONN)
    counts = [(row.user_id, row.kind) for row in (await db.exec(select(Event))).all()]
    assert (counts.count((bob.id, "sign_in_failed")), counts.count((ann.id, "token_reused"))) == (1, 1)
    for row in (await db.exec(select(Event))).all():
        row.happened_at = now() - events.SPAN
    await db.flush()
    await events.note(db, ann.id, Kind.SIGN_IN_FAILED, CONN)
    assert len((await db.exec(select(Event).where(Event.user_id == ann.id))).all()) == events.MOST + 2


@contextmanager
def statements(runtime: Runtime) -> Iterator[list[str]]:
    """The SQL that is sent meanwhile, with the values left out."""
    sent: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        sent.append(statement)

    engines = {runtime.database.engine.sync_engine, runtime.database.reader.sync_engine}
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("door", ["json", "page", "token"])
@pytest.mark.parametrize("full", [False, True], ids=["fresh", "flooded"])
async def test_a_refused_log_in_costs_the_database_the_same_whoever_it_is_about(
    live_app: FastAPI, live_client: httpx2.AsyncClient, door: str, full: bool
) -> None:
    runtime = live_app.state.runtime
    people: dict[str, dict[str, Any]] = {"knows@example.com": {}, "quits@example.com": {"is_active": False}}
    for email, values in people.items():
        await add_user(live_app, email, **values)
    sent, answers = [], []
    for email in [*people, "ghost@example.com"]:
        for _ in range(events.MOST if full else 0):
            await events.note_failure(runtime, email, Kind.SIGN_IN_FAILED, CONN)
        with statements(runtime) as log:
            if door == "json":
                answer = await live_client.post(LOGIN, json=WRONG | {"email": email})
            elif door == "page":
                answer = await live_client.post("/accounts/login", data=WRONG | {"email": email})
            else:
                form = {"username": email, "password": "not the password"}
                answer = await live_client.post(f"{API}/token", data=form)
        sent.append([OPEN.sub("…", each) for each in log])
        answers.append(answer.status_code)
    assert len(set(answers)) == 1
    assert len(sent[0]) >= 3
    assert sent[0] == sent[1] == sent[2]


async def test_events_are_swept_after_some_months(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, jobs: Jobs
) -> None:
    user = await sign_in()
    for days in (179, 181):
        db.add(Event(user_id=user.id, kind=Kind.SIGNED_OUT, happened_at=now() - timedelta(days=days)))
    db.add(Event(kind=Kind.SIGN_IN_FAILED, happened_at=now() - timedelta(days=181)))
    await enqueue(db, "accounts.sweep")
    await db.commit()
    await jobs.run()
    assert sorted(await kinds(db)) == ["signed_in", "signed_out"]


async def test_staff_find_events_by_e_mail_and_change_none(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    bob = await sign_in("bob@example.com", into=new_client(app))
    await sign_in("boss@example.com", is_superuser=True)
    await client.post(LOGIN, json=WRONG | {"email": "nobody@example.com"})
    for term, found in [("bob@exam", True), ("BOB", True), ("boss@", False), ("b%b", False), ("127.0.0.1", True)]:
        page = await client.get("/admin/event/list", params={"search": term})
        assert (page.status_code, str(bob.id) in page.text) == (200, found), term
    row = (await db.exec(select(Event).where(Event.user_id == bob.id))).one()
    assert "signed_in" in (await client.get(f"/admin/event/details/{row.id}")).text
    assert (await client.get("/admin/event/list?kind=signed_in")).status_code == 200
    assert (await client.get("/admin/event/create")).status_code == 403
    assert (await client.post(f"/admin/event/edit/{row.id}", data={"kind": "x", "save": "Save"})).status_code == 403
    assert (await client.delete(f"/admin/event/delete?pks={row.id}")).status_code == 403
    await db.refresh(row)
    assert row.kind == "signed_in"


async def test_what_staff_do_to_somebody_is_seen_by_them_without_the_staffs_address(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    bob = await sign_in("bob@example.com", into=new_client(app))
    await sign_in("boss@example.com", is_superuser=True)
    session = (await db.exec(select(Session.id).where(Session.user_id == bob.id))).one()
    await client.delete(f"/admin/session/delete?pks={session}")
    for _ in range(2):
        await client.post(f"/admin/user/edit/{bob.id}", data={"name": "Bob", "save": "Save"})
    rows = (await db.exec(select(Event).where(Event.user_id == bob.id).order_by(col(Event.happened_at)))).all()
    assert [(row.kind, row.detail, row.address) for row in rows[1:]] == [
        ("session_ended", "by staff", ""),
        ("sessions_ended", "by staff", ""),
    ]


async def test_the_activity_page_shows_what_a_person_should_look_at(
    either_page: Page, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in()
    db.add(Event(user_id=user.id, kind=Kind.TOKEN_MADE, detail="<img src=x onerror=alert(1)>", device="curl"))
    db.add(Event(user_id=user.id, kind=Kind.SIGN_IN_FAILED, count=14, address="203.0.113.7"))
    db.add(Event(user_id=user.id, kind="of a later version"))
    await db.flush()
    page = await either_page.open("/accounts/profile").click("Activity")
    assert page.heading == "Activity"
    for words in ("14 ×", "203.0.113.7", "<img src=x onerror=alert(1)>", "of a later version"):
        assert words in page.text


async def test_parallel_failures_neither_break_nor_pile_up(live_app: FastAPI) -> None:
    runtime = live_app.state.runtime
    flood = (events.note_failure(runtime, f"{n}@example.com", Kind.SIGN_IN_FAILED, CONN) for n in range(60))
    await asyncio.gather(*flood)
    async with runtime.unit_of_work(write=False) as db:
        rows = (await db.exec(select(Event))).all()
    assert sum(row.count for row in rows) == 60
    assert len(rows) <= events.MOST + runtime.settings.DB_POOL_SIZE + runtime.settings.DB_POOL_OVERFLOW
