"""Who is asking: a session cookie or a bearer token, answered from the session row each time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Response
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy import Select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts import api_tokens, sessions
from apps.accounts.conf import AccountsSettings
from apps.accounts.models import GRANTED, User, granted
from apps.accounts.refresh import ACCESS as ACCESS, read_access_token
from apps.accounts.schemas import UserRead, normalise_email
from project.core import AsyncSession, Forbidden, Principal, Runtime, get_logger, now
from project.core.db.models import uuid7
from project.core.identity import principal
from project.core.web.deps import READING, SignedIn

log = get_logger(__name__)
TOUCH_SECONDS = 1.0  # a read does not wait longer for its note of having been here
bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/accounts/token",
    refreshUrl="/api/v1/accounts/token/refresh",
    auto_error=False,
    description="Log in with your e-mail as the username.",
)


def cookie_name(runtime: Runtime) -> str:
    """`__Host-sid` where people come by https, `sid` on plain http (browsers refuse the prefix there)."""
    return "__Host-sid" if runtime.settings.secure else "sid"


def set_cookie(response: Response, runtime: Runtime, token: str, seconds: int | None) -> None:
    """Hand the browser its session token; with `seconds` the cookie outlives the browser."""
    response.set_cookie(
        cookie_name(runtime),
        token,
        seconds,
        path="/",
        secure=runtime.settings.secure,
        httponly=True,
        samesite="lax",
    )


def clear_cookie(response: Response, runtime: Runtime) -> None:
    """Take the browser's session token away."""
    response.delete_cookie(
        cookie_name(runtime), path="/", secure=runtime.settings.secure, httponly=True, samesite="lax"
    )


async def authenticate(runtime: Runtime, conn: HTTPConnection) -> Principal | None:
    """The framework's question. A ticket counts first, then a bearer token, then a cookie; a bad one is nobody.

    Raises Forbidden for an API token that may not do what is asked.
    """
    if by_ticket := getattr(conn.state, "session_id", None):
        return await _by_session(runtime, conn, sessions.asking("id"), session_id=by_ticket)
    scheme, _, bearer = conn.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        tokens = _cookies(conn, cookie_name(runtime))
        if len(tokens) != 1:
            return None
        hashes = {f"hash{number}": each for number, each in enumerate(sessions.hashes(runtime, tokens[0]))}
        return await _by_session(runtime, conn, sessions.asking("cookie", len(hashes)), **hashes)
    if (token := bearer.strip()).startswith(api_tokens.PREFIX):
        return await _by_api_token(runtime, conn, token)
    claims = read_access_token(runtime, token)
    found = claims and await _by_session(runtime, conn, sessions.asking("id"), session_id=claims.session_id)
    return found if claims and found and found.id == claims.user_id else None


async def _by_session(runtime: Runtime, conn: HTTPConnection, asking: Select[Any], **which: Any) -> Principal | None:
    conf = runtime.conf(AccountsSettings)
    async with runtime.unit_of_work(write=False) as db:
        row = (await db.execute(asking, which | sessions.moments(conf, now()))).first()
    if row is None:
        return None
    conn.state.account = row
    idle = sessions.idle(conf, remember=row.remember)
    if not getattr(conn.state, "rests", False):
        await _touch(runtime, sessions.touch, row.session_id, row.last_seen_at, min(sessions.TOUCH_EVERY, idle / 4))
    ends_at = min(row.expires_at, row.last_seen_at + idle)
    return _principal(row, row.session_id, granted(row.granted), ends_at)


def _principal(user: Any, session_id: UUID, permissions: frozenset[str], ends_at: datetime | None = None) -> Principal:
    return Principal(
        id=user.id,
        email=user.email,
        name=user.name,
        session_id=session_id,
        is_staff=user.is_staff or user.is_superuser,
        is_superuser=user.is_superuser,
        permissions=permissions,
        ends_at=ends_at,
    )


async def identify(runtime: Runtime, email: str) -> Principal | None:
    """Who has this e-mail, as if they had a session; nobody is asked for a password, so never for a request."""
    person = select(User, GRANTED).where(User.email == normalise_email(email), col(User.is_active))
    async with runtime.unit_of_work(write=False) as db:
        found = (await db.exec(person)).first()
    return _principal(found[0], uuid7(), granted(found[1])) if found else None


async def _by_api_token(runtime: Runtime, conn: HTTPConnection, token: str) -> Principal | None:
    """Whose token it is; nobody's token opens the admin, whoever made it."""
    async with runtime.unit_of_work(write=False) as db:
        found = await api_tokens.find(db, token)
    if found is None:
        return None
    row, user = found
    conn.state.account = user
    needed = "read" if conn.scope.get("method") in READING else "write"
    if needed not in row.scopes:
        raise Forbidden(f"This token has no scope {needed!r}.", code="insufficient_scope")
    await _touch(runtime, api_tokens.touch, row.id, row.last_used_at, sessions.TOUCH_EVERY)
    return Principal(user.id, user.email, user.name, row.id, scopes=frozenset(row.scopes), ends_at=row.expires_at)


def _cookies(conn: HTTPConnection, name: str) -> list[str]:
    """The values of the cookies called exactly so; lenient parsing would let another name pass for `__Host-sid`."""
    pairs = (pair.strip(" \t").partition("=") for line in conn.headers.getlist("cookie") for pair in line.split(";"))
    return [value for key, _, value in pairs if key == name and value]


async def _touch(
    runtime: Runtime,
    touch: Callable[[AsyncSession, UUID], Awaitable[None]],
    row_id: UUID,
    last: datetime | None,
    often: timedelta,
) -> None:
    """Let the row know that it was used, unless it knows so from a moment ago."""
    if last is not None and now() - last <= often:
        return
    try:
        async with asyncio.timeout(TOUCH_SECONDS), runtime.unit_of_work() as db:
            await touch(db, row_id)
    except (SQLAlchemyError, TimeoutError, OSError) as error:
        log.warning("use not noted", error=type(error).__name__)


async def current_user(user: SignedIn, _: Annotated[str | None, Depends(bearer)]) -> Principal:
    """Whoever is signed in; raises NotAuthenticated."""
    return user


CurrentUser = Annotated[Principal, Depends(current_user)]


async def current_account(conn: HTTPConnection, user: SignedIn, _: Annotated[str | None, Depends(bearer)]) -> UserRead:
    """Whoever is signed in, as it was read when they were asked who they are; raises NotAuthenticated."""
    account = getattr(conn.state, "account", None)
    if account is None:  # nobody was asked: `manage.py request --user` says who it is
        async with conn.app.state.runtime.unit_of_work(write=False) as db:
            account = await db.get_one(User, user.id)
    return UserRead.model_validate(account)


CurrentAccount = Annotated[UserRead, Depends(current_account)]
OptionalUser = Annotated[Principal | None, Depends(principal)]


class Staff:
    """Whoever is signed in and may enter the admin; raises NotAuthenticated or Forbidden."""

    who = "staff"

    async def __call__(self, user: CurrentUser) -> Principal:
        if not user.is_staff:
            raise Forbidden
        return user


async def in_person(user: CurrentUser) -> Principal:
    """Whoever is signed in themselves; raises NotAuthenticated, and Forbidden for an API token."""
    if user.scopes is not None:
        raise Forbidden("An API token cannot do this. Log in yourself.", code="in_person")
    return user


InPerson = Annotated[Principal, Depends(in_person)]


StaffUser = Annotated[Principal, Depends(Staff())]
