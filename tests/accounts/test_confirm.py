"""ACCOUNTS_SIGNUP=confirm: an account opens by the link in its mail, and nobody learns which addresses have one."""

import re
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import select

from apps.accounts.manager import HASHER, UserManager
from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, MakeUser, links_for
from project.core import AsyncSession
from project.core.mail import Mailer, Message
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.pages import Page
from project.core.testing.plugin import NewClient
from project.core.web.limits import Limiter

API = "/api/v1/accounts"
ANN = {"email": "ann@example.com", "password": PASSWORD, "name": "Ann"}
CHOSEN = "The password you chose when you signed up"
CLASSES = ["knows", "ghost", "quits", "waits"]  # equally long: the e-mail is in a form that is shown again
ASKING = {
    "JSON sign-up": (f"{API}/users", True),
    "page sign-up": ("/accounts/signup", False),
    "JSON forgot": (f"{API}/password/forgot", True),
    "page forgot": ("/accounts/forgot", False),
    "JSON verify": (f"{API}/verify/request", True),
    "page verify": ("/accounts/verify/request", False),
    "JSON login": (f"{API}/login", True),
    "page login": ("/accounts/login", False),
}
pytestmark = [pytest.mark.usefixtures("confirming"), pytest.mark.any_database]


@pytest.fixture
async def people(make_user: MakeUser) -> None:
    """One who may log in, one whose account was closed, one who waits for the link; nobody has the fourth address."""
    await make_user("knows@example.com", is_verified=True)
    await make_user("quits@example.com", is_verified=True, is_active=False)
    await make_user("waits@example.com")


async def test_an_account_opens_by_the_link_in_its_mail(
    client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    answer = await client.post(f"{API}/users", json=ANN)
    assert (answer.status_code, list(answer.json()), "location" in answer.headers) == (202, ["detail"], False)
    closed = await client.post(f"{API}/login", json=ANN)
    assert (closed.status_code, closed.json()["code"]) == (422, "invalid_credentials")
    form = {"username": ANN["email"], "password": PASSWORD}
    assert (await client.post(f"{API}/token", data=form)).status_code == 400
    await jobs.run()
    assert (mailbox.only().to, mailbox.only().subject) == ("ann@example.com", "Welcome to Uptempo")
    assert "and the password you" in mailbox.only().text
    page = await Page(client).open(mailbox.only().link).fill(CHOSEN, PASSWORD).submit("Confirm")
    assert page.messages == ["Your e-mail is confirmed. Log in to begin."]
    await page.fill("E-mail", "ann@example.com").fill("Password", PASSWORD).submit("Log in")
    assert (await client.get(f"{API}/me")).json()["name"] == "Ann"


async def test_the_page_leads_everybody_to_their_mailbox(either_page: Page, client: httpx2.AsyncClient) -> None:
    page = await either_page.open("/accounts/signup").fill("E-mail", "ann@example.com").fill("Password", PASSWORD)
    await page.submit("Sign up")
    assert (page.url, page.heading, client.cookies.get("sid")) == ("/accounts/mailbox", "Look into your mailbox", None)


async def test_a_taken_address_gets_a_mail_that_says_so_and_keeps_its_account(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    await make_user(is_verified=True)
    await client.post(f"{API}/users", json=ANN | {"email": "Ann@Example.com", "password": "of somebody else"})
    await jobs.run()
    mail = mailbox.only()
    assert (mail.to, mail.subject) == ("ann@example.com", "You have an account at Uptempo")
    assert "/accounts/login" in mail.text
    assert "/accounts/reset?token=" in mail.text
    user = (await db.exec(select(User))).one()
    assert (user.name, HASHER.verify_and_update(PASSWORD, user.hashed_password)[0]) == ("", True)


async def test_whoever_signs_up_for_an_address_that_waits_already_opens_it_with_a_password_of_their_own(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox
) -> None:
    """Somebody who does not own the mailbox may have been first; their password must not be the one that counts."""
    await make_user()
    await client.post(f"{API}/users", json=ANN | {"password": "of the real Ann"})
    await jobs.run()
    assert "/accounts/verify" not in mailbox.only().text
    page = await Page(client).open(mailbox.only().link).fill("New password", "a brand new one")
    await page.submit("Set the password")
    assert (await client.post(f"{API}/login", json=ANN)).status_code == 422
    assert (await client.post(f"{API}/login", json=ANN | {"password": "a brand new one"})).status_code == 200


async def test_a_link_does_not_open_what_a_stranger_began_with_ones_address(
    either_page: Page, client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox, db: AsyncSession
) -> None:
    """Somebody signs up with Ann's address; she takes the welcome for her own, and presses the button."""
    await client.post(f"{API}/users", json=ANN | {"password": "of a stranger"})
    await jobs.run()
    page = await either_page.open(mailbox.only().link)
    assert "Forgot your password?" in page.text
    await page.fill(CHOSEN, "").submit("Confirm")
    assert (page.status, list(page.errors)) == (422, [CHOSEN])
    await page.fill(CHOSEN, PASSWORD).submit("Confirm")
    assert (page.status, "If it was not you who signed up" in page.errors[CHOSEN]) == (422, True)
    token = {"token": mailbox.only().link.partition("?token=")[2]}
    refused = [await client.post(f"{API}/verify/confirm", json=token | sent) for sent in ({}, {"password": PASSWORD})]
    assert [(answer.status_code, answer.json()["errors"][0]["field"]) for answer in refused] == [(422, "password")] * 2
    assert not (await db.exec(select(User))).one().is_verified
    assert (await client.post(f"{API}/login", json=ANN | {"password": "of a stranger"})).status_code == 422
    mailbox.clear()
    await page.click("Forgot your password?").fill("E-mail", "ann@example.com").submit("Send the link")
    await jobs.run()
    await page.open(mailbox.only().link).fill("New password", "a brand new one").submit("Set the password")
    assert (await client.post(f"{API}/login", json=ANN | {"password": "of a stranger"})).status_code == 422
    assert (await client.post(f"{API}/login", json=ANN | {"password": "a brand new one"})).status_code == 200


async def test_a_mistyped_password_leaves_the_link_as_it_was(
    either_page: Page, app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    page = await either_page.open((await links_for(app, await make_user()))["/accounts/verify"])
    await page.fill(CHOSEN, "mistyped").submit("Confirm")
    await page.fill(CHOSEN, PASSWORD).submit("Confirm")
    assert (page.url, page.messages) == ("/accounts/login", ["Your e-mail is confirmed. Log in to begin."])
    assert (await client.post(f"{API}/login", json=ANN)).status_code == 200


async def test_a_link_and_a_password_open_an_account_over_json_once(
    app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession
) -> None:
    """Also when the password's stored hash is an old, weak one, which is replaced on the way."""
    user = await make_user()
    weak = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1),)).hash(PASSWORD)
    await UserManager(db, app.state.runtime).user_db.replace(user, hashed_password=weak)
    await db.commit()
    data = {"token": (await links_for(app, user))["/accounts/verify"].partition("=")[2], "password": PASSWORD}
    used = [await client.post(f"{API}/verify/confirm", json=data) for _ in range(2)]
    assert [answer.status_code for answer in used] == [204, 400]
    assert (await client.post(f"{API}/login", json=ANN)).status_code == 200


async def test_a_link_gives_no_more_tries_of_the_password_than_the_log_in(
    app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    data = {"token": (await links_for(app, await make_user()))["/accounts/verify"].partition("=")[2]}
    await client.post(f"{API}/login", json=ANN)
    tries = [await client.post(f"{API}/verify/confirm", json=data | {"password": f"try {n}"}) for n in range(10)]
    assert [answer.status_code for answer in tries] == [422] * 9 + [429]
    assert (await client.post(f"{API}/verify/confirm", json=data | {"password": PASSWORD})).status_code == 429


async def test_whoever_signs_up_with_a_strangers_address_writes_nothing_to_them(
    client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox
) -> None:
    await client.post(f"{API}/users", json=ANN | {"name": "you won: https://evil.example"})
    await jobs.run()
    mail = mailbox.only()
    assert "evil.example" not in mail.text + mail.html + mail.subject


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("door", ASKING)
async def test_every_class_of_account_gets_the_same_answer_byte_for_byte(
    app: FastAPI, new_client: NewClient, door: str
) -> None:
    path, is_json = ASKING[door]
    seen = set()
    for name in CLASSES:
        app.state.limiter = Limiter()
        data = {"email": f"{name}@example.com", "password": "not that one, sorry"}
        headers = {"X-Request-ID": "the-same-for-all"}
        sent: dict[str, Any] = {"json" if is_json else "data": data}
        answer = await new_client(app).post(path, headers=headers, **sent)
        body = re.sub(r'(name="_once" value=)"[^"]+"', r"\1", answer.text.replace(name, "somebody"))
        seen.add((answer.status_code, tuple(sorted(answer.headers.items())), body))
    assert len(seen) == 1


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("door", [door for door in ASKING if "login" not in door])
async def test_every_class_of_account_is_limited_alike(app: FastAPI, client: httpx2.AsyncClient, door: str) -> None:
    path, is_json = ASKING[door]
    for name in CLASSES:
        app.state.limiter = Limiter()
        data = {"email": f"{name}@example.com", "password": PASSWORD}
        sent = [await (client.post(path, json=data) if is_json else client.post(path, data=data)) for _ in range(6)]
        assert [answer.status_code for answer in sent] == [202 if is_json else 303] * 5 + [429]
        assert 200 < int(sent[-1].headers["retry-after"]) <= 300


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("path", "told"),
    [
        (f"{API}/password/forgot", {"knows": "reset", "waits": "reset"}),
        (f"{API}/verify/request", {"waits": "verify"}),
        (f"{API}/users", {"knows": "reset", "waits": "reset", "ghost": "verify"}),
    ],
)
async def test_each_request_leaves_one_job_and_only_the_job_knows_whom_to_write(
    app: FastAPI, client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox, path: str, told: dict[str, str]
) -> None:
    for number, name in enumerate(CLASSES, 1):
        app.state.limiter = Limiter()
        await client.post(path, json={"email": f"{name}@example.com", "password": PASSWORD})
        assert len(await jobs.all()) == number
    assert {str(state) for state in await jobs.run()} == {"done"}
    pages = {mail.to.partition("@")[0]: mail.text.partition("?token=")[0].rpartition("/")[2] for mail in mailbox.mails}
    assert pages == told


@pytest.mark.usefixtures("people")
async def test_the_right_password_of_a_closed_account_is_answered_like_a_wrong_one(
    client: httpx2.AsyncClient,
) -> None:
    data = [("knows@example.com", "wrong")] + [(f"{name}@example.com", PASSWORD) for name in CLASSES[1:]]
    answers = [
        await client.post(
            f"{API}/login", json={"email": email, "password": password}, headers={"X-Request-ID": "x" * 8}
        )
        for email, password in data
    ]
    assert len({answer.content for answer in answers}) == 1
    assert "not confirmed yet" in answers[0].json()["detail"]


async def test_a_new_password_opens_an_account_that_waits_for_its_link(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox
) -> None:
    await make_user()
    await client.post(f"{API}/password/forgot", json={"email": "ann@example.com"})
    await jobs.run()
    await Page(client).open(mailbox.only().link).fill("New password", "a brand new one").submit("Set the password")
    assert (await client.post(f"{API}/login", json=ANN | {"password": "a brand new one"})).status_code == 200


async def test_a_taken_address_costs_a_hash_like_a_free_one(
    client: httpx2.AsyncClient, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_user(is_verified=True)
    hashed, real = [], HASHER.hash

    def watched(password: str) -> str:
        hashed.append(password)
        return real(password)

    monkeypatch.setattr(HASHER, "hash", watched)
    for email in ("ann@example.com", "free@example.com"):
        await client.post(f"{API}/users", json=ANN | {"email": email})
    assert hashed == [PASSWORD] * 2


async def test_the_home_page_does_not_count_a_sign_up_that_waits(client: httpx2.AsyncClient) -> None:
    before = (await client.get("/")).text
    await client.post(f"{API}/users", json=ANN)
    assert (await client.get("/")).text == before


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("path", [f"{API}/password/forgot", f"{API}/verify/request", f"{API}/users"])
async def test_the_job_is_as_busy_for_nobody_as_for_somebody(
    app: FastAPI, client: httpx2.AsyncClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """In one process with the web, a mail that is written only for some would show in the next answer's time."""
    mail: Mailer = app.state.runtime.mail
    real, written = mail.render, []

    def watched(template: str, to: str, *words: Any) -> Message:
        written.append(to)
        return real(template, to, *words)

    monkeypatch.setattr(mail, "render", watched)
    monkeypatch.setattr(mail, "sender", Mailbox())
    for name in CLASSES:
        app.state.limiter = Limiter()
        await client.post(path, json={"email": f"{name}@example.com", "password": PASSWORD})
    await jobs.run()
    assert written == [f"{name}@example.com" for name in CLASSES]
