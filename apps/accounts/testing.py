"""The accounts' part of the test kit: people, and clients that are signed in."""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from secrets import token_urlsafe
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from starlette.requests import HTTPConnection

from apps.accounts import manager
from apps.accounts.conf import AccountsSettings
from apps.accounts.identity import cookie_name
from apps.accounts.manager import UserManager
from apps.accounts.models import Group, Membership, User
from apps.accounts.services import open_browser_session

PASSWORD = "correct horse battery"  # noqa: S105 - of people who exist in tests only
QUICK = PasswordHash((Argon2Hasher(time_cost=1, memory_cost=64, parallelism=1),))
SignIn = Callable[..., Awaitable[User]]
MakeUser = Callable[..., Awaitable[User]]


def pytest_configure() -> None:
    """Tests sign up as in development, and are signed in at once; the fixture `confirming` is for the others.

    Hashing costs them next to nothing, for nobody's password either.
    """
    os.environ.setdefault("ACCOUNTS_SIGNUP", "open")
    manager.HASHER.password_hash, manager.NOBODY = QUICK, QUICK.hash(token_urlsafe())


@cache
def hashed() -> str:
    """The hash of PASSWORD."""
    return manager.HASHER.hash(PASSWORD)


def every(*subjects: str) -> list[str]:
    """All that can be permitted with rows of a kind: `every("blog.post")`."""
    return [f"{subject}.{word}" for subject in subjects for word in ("view", "add", "change", "delete")]


async def add_user(
    app: FastAPI, email: str = "ann@example.com", *, permissions: Sequence[str] = (), **values: Any
) -> User:
    """A person whose password is PASSWORD; with permissions they are in a group of their own that has these."""
    async with app.state.runtime.unit_of_work() as db:
        user = User(email=email, hashed_password=hashed(), **values)
        db.add(user)
        if permissions:
            group = Group(name=f"Group of {email}", permissions=list(permissions))
            db.add(group)
            await db.flush()
            db.add(Membership(user_id=user.id, group_id=group.id))
    return user


async def sign_in_as(client: httpx2.AsyncClient, app: FastAPI, user: User) -> None:
    """Give the client a session of this person, without the cost of hashing."""
    conn = HTTPConnection({"type": "http", "headers": [(b"user-agent", b"tests")], "client": ("127.0.0.1", 1)})
    async with app.state.runtime.unit_of_work() as db:
        token, _ = await open_browser_session(UserManager(db, app.state.runtime), conn, user)
    client.cookies.set(cookie_name(app.state.runtime), token, domain=client.base_url.host)


async def links_for(app: FastAPI, user: User, new_email: str = "new@example.com") -> dict[str, str]:
    """{page: link} as mails bring them to this person, without the mail."""
    async with app.state.runtime.unit_of_work(write=False) as db:
        flows = UserManager(db, app.state.runtime)
    tokens = {
        "/accounts/reset": flows.token(user, flows.reset_password_token_audience, 60),
        "/accounts/verify": flows.token(user, flows.verification_token_audience, 60),
        "/accounts/email/confirm": flows.email_token(user, new_email),
    }
    return {page: f"{page}?token={token}" for page, token in tokens.items()}


@pytest.fixture
def confirming(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sign up as in production: the link in a mail and the sign-up's password open the account."""
    confirm_sign_ups(app, monkeypatch)


def confirm_sign_ups(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for any app, while the test runs."""
    conf = app.state.runtime.conf(AccountsSettings)
    monkeypatch.setitem(app.state.runtime._conf, AccountsSettings, conf.model_copy(update={"SIGNUP": "confirm"}))


@pytest.fixture
def make_user(app: FastAPI) -> MakeUser:
    """Add a person: `await make_user("bob@example.com", is_staff=True)`."""

    async def make(email: str = "ann@example.com", **values: Any) -> User:
        return await add_user(app, email, **values)

    return make


@pytest.fixture
def sign_in(app: FastAPI, client: httpx2.AsyncClient) -> SignIn:
    """Add a person, or take a ready one, and sign `client` in: `user = await sign_in(is_staff=True)`."""

    async def sign(user: User | str = "ann@example.com", *, into: httpx2.AsyncClient = client, **values: Any) -> User:
        person = user if isinstance(user, User) else await add_user(app, user, **values)
        await sign_in_as(into, app, person)
        return person

    return sign
