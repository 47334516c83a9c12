"""Owners are told by mail of what others must not do unseen: seldom, without secrets, with a way to stop it."""

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from apps.accounts import events
from apps.accounts.models import Event, User
from apps.accounts.testing import PASSWORD, SignIn
from project.core import AsyncSession
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
FORM = {"username": "ann@example.com", "password": PASSWORD}
TYPED = "visit-evil.example"
NEW = "a brand new one"
SUBJECTS = {
    "password": "Your password was changed",
    "token": "A new API token for your account",
    "token page": "A new API token for your account",
    "reuse": "A program of yours was logged out",
    "deletion": "Your account was deleted",
}


@pytest.fixture
async def ann(client: httpx2.AsyncClient, sign_in: SignIn) -> User:
    client.headers["user-agent"] = TYPED
    return await sign_in(name=TYPED)


async def do(client: httpx2.AsyncClient, other: httpx2.AsyncClient, way: str) -> list[str]:
    """What a thief could do, and the secrets in it."""
    match way:
        case "password":
            data = {"current_password": PASSWORD, "new_password": NEW}
            assert (await client.post(f"{API}/password/change", json=data)).status_code == 204
        case "token":
            return [(await client.post(f"{API}/api-tokens", json={"name": TYPED})).json()["token"]]
        case "token page":
            assert (await client.post("/accounts/tokens/new", data={"name": TYPED, "scopes": "read"})).is_success
        case "reuse":
            token = (await client.post(f"{API}/token", data=FORM)).json()["refresh_token"]
            shared = token.partition(".")[0]
            answer = await other.post(f"{API}/token/refresh", json={"refresh_token": f"{shared}.{'0' * 64}"})
            assert answer.status_code == 400
            return [token, shared]
        case "deletion":
            assert (await client.request("DELETE", f"{API}/me", json={"password": PASSWORD})).status_code == 204
    return []


@pytest.mark.parametrize("way", SUBJECTS)
async def test_the_owner_is_told_and_nothing_in_the_mail_was_typed_or_is_secret(
    app: FastAPI,
    client: httpx2.AsyncClient,
    new_client: NewClient,
    ann: User,
    jobs: Jobs,
    mailbox: Mailbox,
    way: str,
) -> None:
    secrets = await do(client, new_client(app), way)
    await jobs.run()
    mail = mailbox.only()
    assert (mail.to, mail.subject) == ("ann@example.com", SUBJECTS[way])
    assert ("UTC, 127.0.0.1" in mail.text) == (way != "deletion")
    assert not [word for word in (TYPED, PASSWORD, NEW, "argon2", *secrets) if word in mail.text + mail.html]


async def test_however_often_somebody_does_it_the_owner_gets_ten_mails_an_hour(
    client: httpx2.AsyncClient, ann: User, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    for _ in range(events.MOST + 5):
        made = (await client.post(f"{API}/api-tokens", json={"name": "script"})).json()
        assert (await client.delete(f"{API}/api-tokens/{made['id']}")).status_code == 204
    await jobs.run()
    assert len(mailbox) == events.MOST
    counted = select(Event.count).where(Event.kind == "token_made").order_by(col(Event.count).desc())
    assert (await db.exec(counted)).first() == 6


async def asked(client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox) -> dict[str, str]:
    """{to whom: the token of the link} after another e-mail was asked for."""
    data = {"new_email": "new@example.com", "password": PASSWORD}
    assert (await client.post(f"{API}/email/change", json=data)).status_code == 202
    await jobs.run()
    return {mail.to: mail.link.partition("?token=")[2] for mail in mailbox.mails}


async def test_the_old_address_stops_a_change_of_e_mail_by_one_link(
    app: FastAPI,
    client: httpx2.AsyncClient,
    new_client: NewClient,
    ann: User,
    jobs: Jobs,
    mailbox: Mailbox,
    db: AsyncSession,
) -> None:
    sent = await asked(client, jobs, mailbox)
    owner = new_client(app)
    stopped = await owner.post(f"{API}/password/reset", json={"token": sent["ann@example.com"], "new_password": NEW})
    assert stopped.status_code == 204
    thief = await client.post(f"{API}/email/confirm", json={"token": sent["new@example.com"]})
    assert (thief.status_code, (await client.get(f"{API}/me")).status_code) == (400, 401)
    row = await db.get_one(User, ann.id, populate_existing=True)
    assert row.email == "ann@example.com"


async def test_the_link_that_stops_it_counts_as_long_as_the_one_it_stops(
    client: httpx2.AsyncClient, ann: User, jobs: Jobs, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    import jwt

    sent = await asked(client, jobs, mailbox)
    ends = [jwt.decode(token, options={"verify_signature": False})["exp"] for token in sent.values()]
    assert abs(ends[0] - ends[1]) < 60


async def test_an_address_that_is_no_longer_the_accounts_gets_no_link_to_it(
    client: httpx2.AsyncClient, ann: User, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    data = {"new_email": "new@example.com", "password": PASSWORD}
    assert (await client.post(f"{API}/email/change", json=data)).status_code == 202
    (await db.get_one(User, ann.id)).email = "else@example.com"
    await db.commit()
    await jobs.run()
    assert not [mail for mail in mailbox.mails if mail.to == "ann@example.com"]


async def test_signing_up_again_and_again_mails_a_stranger_five_times(
    client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    """With an account that counts at once, one can be deleted and opened again."""
    data: dict[str, Any] = {"email": "Stranger@example.com", "password": PASSWORD}
    for expected in (201, 201, 201, 201, 201, 429):
        assert (await client.post(f"{API}/users", json=data)).status_code == expected
        await jobs.run()
        for user in await db.exec(select(User)):
            await db.delete(user)
        await db.commit()
    assert len(mailbox) == 5
