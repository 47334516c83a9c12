"""What the links in mails do: verify an e-mail, set a new password, change the e-mail; each counts once."""

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.manager import UserManager
from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, links_for
from project.core import AsyncSession, Runtime
from project.core.jobs import Job
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
ANN = {"email": "ann@example.com", "password": PASSWORD}
NEW = "a brand new one"
ASK = {"reset": f"{API}/password/forgot", "verify": f"{API}/verify/request"}
USE = {"reset": f"{API}/password/reset", "verify": f"{API}/verify/confirm", "email": f"{API}/email/confirm"}


def token_in(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]


@pytest.fixture
def manager(db: AsyncSession, runtime: Runtime) -> UserManager:
    return UserManager(db, runtime)


def make(manager: UserManager, user: User, kind: str, seconds: int = 60) -> str:
    """A token as the job makes it."""
    audiences = {"reset": manager.reset_password_token_audience, "verify": manager.verification_token_audience}
    if kind == "email":
        return manager.token(user, manager.email_token_audience, seconds, email="new@example.com")
    return manager.token(user, audiences[kind], seconds)


async def use(client: httpx2.AsyncClient, kind: str, token: str) -> httpx2.Response:
    return await client.post(USE[kind], json={"token": token} | ({"new_password": NEW} if kind == "reset" else {}))


async def test_an_e_mail_is_verified_by_the_link_sent_to_it(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    await make_user()
    asked = await client.post(ASK["verify"], json={"email": " ANN@Example.com"})
    assert (asked.status_code, list(asked.json())) == (202, ["detail"])
    await jobs.run()
    assert (mailbox.only().to, mailbox.only().subject) == ("ann@example.com", "Confirm your e-mail")
    assert (await use(client, "verify", token_in(mailbox.only().link))).status_code == 204
    assert (await db.exec(select(User))).one().is_verified


async def test_a_new_password_ends_every_session_verifies_the_e_mail_and_is_told(
    app: FastAPI,
    client: httpx2.AsyncClient,
    new_client: NewClient,
    sign_in: SignIn,
    jobs: Jobs,
    mailbox: Mailbox,
    db: AsyncSession,
) -> None:
    bob = new_client(app)
    await sign_in("bob@example.com", into=bob)
    await sign_in()
    access = (await client.post(f"{API}/token", data={"username": ANN["email"], "password": PASSWORD})).json()
    assert (await new_client(app).post(ASK["reset"], json={"email": "ann@example.com"})).status_code == 202
    await jobs.run()
    token = token_in(mailbox.only().link)
    assert (await use(new_client(app), "reset", token)).status_code == 204
    bearer = {"Authorization": f"Bearer {access['access_token']}"}
    assert [(await client.get(f"{API}/me", headers=each)).status_code for each in ({}, bearer)] == [401, 401]
    assert (await bob.get(f"{API}/me")).status_code == 200
    assert (await client.post(f"{API}/login", json=ANN)).status_code == 422
    assert (await client.post(f"{API}/login", json=ANN | {"password": NEW})).json()["is_verified"]
    await jobs.run()
    assert [(mail.to, mail.subject) for mail in mailbox.mails[1:]] == [("ann@example.com", "Your password was changed")]


async def test_an_e_mail_changes_only_by_the_link_at_the_new_address_and_the_old_one_is_told(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    await sign_in()
    asked = await client.post(f"{API}/email/change", json={"new_email": "New@Example.com", "password": PASSWORD})
    assert asked.status_code == 202
    await jobs.run()
    sent = {mail.to: mail for mail in mailbox.mails}
    assert set(sent) == {"ann@example.com", "new@example.com"}
    assert sent["ann@example.com"].subject == "Your e-mail is about to change"
    assert (await client.get(f"{API}/me")).json()["email"] == "ann@example.com"
    mailbox.clear()
    assert (await use(client, "email", token_in(sent["new@example.com"].link))).status_code == 204
    me = (await client.get(f"{API}/me")).json()
    assert (me["email"], me["is_verified"]) == ("new@example.com", True)
    await jobs.run()
    assert (mailbox.only().to, mailbox.only().subject) == ("ann@example.com", "Your e-mail was changed")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "wrong"}, "password"),
        ({"new_email": "ANN@example.com"}, "new_email"),
        ({"new_email": "nobody"}, "new_email"),
        ({"new_email": "Ann <new@example.com>"}, "new_email"),
    ],
)
async def test_an_e_mail_is_not_changed_like_that(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, change: dict[str, str], field: str
) -> None:
    await sign_in()
    data = {"new_email": "new@example.com", "password": PASSWORD} | change
    answer = await client.post(f"{API}/email/change", json=data)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert await jobs.all() == []


async def test_a_taken_address_is_answered_the_same_and_told_by_mail(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox
) -> None:
    await make_user("bob@example.com")
    await sign_in()
    answers = [
        await client.post(f"{API}/email/change", json={"new_email": email, "password": PASSWORD})
        for email in ("bob@example.com", "new@example.com")
    ]
    assert answers[0].content == answers[1].content
    await jobs.run()
    told = [mail for mail in mailbox.mails if mail.to == "bob@example.com"]
    assert [mail.subject for mail in told] == ["You have an account at Uptempo"]
    assert "/accounts/email/confirm" not in told[0].text


@pytest.mark.parametrize("kind", USE)
async def test_a_link_counts_once(
    client: httpx2.AsyncClient, make_user: MakeUser, manager: UserManager, kind: str
) -> None:
    token = make(manager, await make_user(), kind)
    assert [(await use(client, kind, token)).status_code for _ in range(2)] == [204, 400]


async def test_of_ten_uses_at_once_one_counts_and_the_others_find_a_dead_link(
    live_app: FastAPI, live_client: httpx2.AsyncClient
) -> None:
    link = (await links_for(live_app, await add_user(live_app)))["/accounts/reset"]
    used = await asyncio.gather(*(use(live_client, "reset", token_in(link)) for _ in range(10)))
    assert sorted(answer.status_code for answer in used) == [204] + [400] * 9
    assert {answer.json()["code"] for answer in used if answer.is_error} == {"dead_link"}


@pytest.mark.parametrize("kind", USE)
@pytest.mark.parametrize("change", ["password", "email", "deactivated", "deleted", "expired"])
async def test_a_link_dies(
    client: httpx2.AsyncClient,
    make_user: MakeUser,
    manager: UserManager,
    db: AsyncSession,
    kind: str,
    change: str,
) -> None:
    user = await make_user()
    token = make(manager, user, kind, -1 if change == "expired" else 60)
    row = await db.get_one(User, user.id)
    if change == "password":
        await manager.set_password(row, "quite another one")
    elif change == "email":
        await manager.user_db.replace(row, email="other@example.com")
    elif change == "deactivated":
        row.is_active = False
    elif change == "deleted":
        await db.delete(row)
    await db.commit()
    answer = await use(client, kind, token)
    assert (answer.status_code, answer.json()["code"]) == (400, "dead_link")


@pytest.mark.parametrize("kind", USE)
async def test_a_link_counts_for_its_purpose_and_its_person_only(
    client: httpx2.AsyncClient, make_user: MakeUser, manager: UserManager, db: AsyncSession, kind: str
) -> None:
    user = await make_user()
    token = make(manager, user, kind)
    for other in {*USE} - {kind}:
        assert (await use(client, other, token)).status_code == 400
    assert (await client.get(f"{API}/me", headers={"Authorization": f"Bearer {token}"})).status_code == 401
    head, payload, signature = token.split(".")
    for forged in ("", "x", f"{head}.{payload}.", f"{head}.{payload[:-2]}.{signature}", "\ud7ffé.x.y", "a" * 2000):
        assert (await use(client, kind, forged)).status_code == 400
    assert (await db.get_one(User, user.id, populate_existing=True)).hashed_password == user.hashed_password


async def test_an_address_that_was_taken_meanwhile_is_not_taken_away(
    client: httpx2.AsyncClient, make_user: MakeUser, manager: UserManager
) -> None:
    token = make(manager, await make_user(), "email")
    await make_user("new@example.com")
    assert (await use(client, "email", token)).status_code == 400


async def test_an_e_mail_change_asked_for_before_a_new_password_sends_no_link(
    client: httpx2.AsyncClient, sign_in: SignIn, manager: UserManager, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    user = await sign_in()
    await client.post(f"{API}/email/change", json={"new_email": "new@example.com", "password": PASSWORD})
    await manager.set_password(await db.get_one(User, user.id), NEW)
    await db.commit()
    await jobs.run()
    assert mailbox.only().to == "ann@example.com"


@pytest.mark.parametrize(("password", "status"), [("short", 422), ("ANN@example.com", 422), (NEW, 204)])
async def test_a_refused_password_leaves_the_link_as_it_was(
    client: httpx2.AsyncClient, make_user: MakeUser, manager: UserManager, password: str, status: int
) -> None:
    token = make(manager, await make_user(), "reset")
    answer = await client.post(USE["reset"], json={"token": token, "new_password": password})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["errors"][0]["field"] == "new_password"
        assert (await use(client, "reset", token)).status_code == 204


async def test_no_row_of_a_job_holds_a_token_or_a_password(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    await client.post(f"{API}/users", json=ANN | {"email": "bob@example.com"})
    await sign_in()
    for path in ASK.values():
        await client.post(path, json={"email": "ann@example.com"})
    await client.post(f"{API}/email/change", json={"new_email": "new@example.com", "password": PASSWORD})
    await jobs.run()
    kept = repr([row.model_dump() for row in (await db.exec(select(Job))).all()])
    links = [mail.link for mail in mailbox.mails if "?token=" in mail.text]
    assert len(links) == 5
    assert "eyJ" not in kept
    assert not [secret for secret in (PASSWORD, "argon2", *map(token_in, links)) if secret in kept]


async def test_a_password_change_is_told(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, mailbox: Mailbox
) -> None:
    await sign_in()
    await client.post(f"{API}/password/change", json={"current_password": PASSWORD, "new_password": NEW})
    await jobs.run()
    assert (mailbox.only().to, mailbox.only().subject) == ("ann@example.com", "Your password was changed")


async def test_an_outage_of_mail_delays_a_link_and_loses_none(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox, runtime: Runtime
) -> None:
    class Away(Mailbox):
        async def send(self, mail: Any) -> None:
            raise ConnectionError("the mail server is away")

    await make_user()
    runtime.mail.sender = Away()
    await client.post(ASK["reset"], json={"email": "ann@example.com"})
    await jobs.run()
    runtime.mail.sender = mailbox
    await jobs.pass_time(3600)
    await jobs.run()
    assert (await use(client, "reset", token_in(mailbox.only().link))).status_code == 204


@pytest.mark.parametrize("kind", ["reset", "verify", "email"])
async def test_asking_and_using_links_is_limited(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, kind: str
) -> None:
    user = await sign_in()
    data = {"email": "ann@example.com", "new_email": "new@example.com", "password": PASSWORD}
    path = ASK.get(kind, f"{API}/email/change")
    assert [(await client.post(path, json=data)).status_code for _ in range(6)] == [202] * 5 + [429]
    for _ in range(20):
        await app.state.limiter.hit("accounts.link", "127.0.0.1", "20/minute")
    tried = await use(client, kind, "x")
    assert (tried.status_code, "retry-after" in tried.headers) == (429, True)
    assert user.email


async def test_links_of_a_reset_open_no_session(
    client: httpx2.AsyncClient, make_user: MakeUser, manager: UserManager, db: AsyncSession
) -> None:
    answer = await use(client, "reset", make(manager, await make_user(), "reset"))
    assert "set-cookie" not in answer.headers
    assert (await db.exec(select(Session))).all() == []
