"""Who is asking: a session cookie or a bearer token, answered from the session row each time."""

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Response
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col
from starlette.requests import HTTPConnection, Request

from apps.accounts import sessions
from apps.accounts.models import Session
from project.core import Forbidden, Principal, Runtime, get_logger, now
from project.core.errors import NotAuthenticated
from project.core.identity import principal
from project.core.signing import BadToken, Signer

log = get_logger(__name__)
ACCESS = "accounts.access"
TOUCH_SECONDS = 1.0  # a read does not wait longer for its note of having been here
bearer = OAuth2PasswordBearer(
    tokenUrl="/api/v1/accounts/token",
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
    """The framework's question. A bearer token counts before a cookie; a bad one is nobody."""
    which = _session_row(runtime, conn)
    if which is None:
        return None
    async with runtime.unit_of_work(write=False) as db:
        found = await sessions.find(db, which)
    if found is None:
        return None
    session, user = found
    if now() - session.last_seen_at > sessions.TOUCH_EVERY:
        await _touch(runtime, session.id)
    return Principal(
        id=user.id,
        email=user.email,
        name=user.name,
        session_id=session.id,
        is_staff=user.is_staff or user.is_superuser,
        is_superuser=user.is_superuser,
    )


def _session_row(runtime: Runtime, conn: HTTPConnection) -> Any:
    if by_ticket := getattr(conn.state, "session_id", None):
        return col(Session.id) == by_ticket
    scheme, _, token = conn.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        try:
            claims = Signer(runtime.settings.keys).read(ACCESS, token.strip())
            return (col(Session.id) == UUID(claims["sid"])) & (col(Session.user_id) == UUID(claims["sub"]))
        except (BadToken, KeyError, ValueError, TypeError, AttributeError):
            return None
    tokens = _cookies(conn, cookie_name(runtime))
    return sessions.by_token(tokens[0]) if len(tokens) == 1 else None


def _cookies(conn: HTTPConnection, name: str) -> list[str]:
    """The values of the cookies called exactly so; lenient parsing would let another name pass for `__Host-sid`."""
    pairs = (pair.strip(" \t").partition("=") for line in conn.headers.getlist("cookie") for pair in line.split(";"))
    return [value for key, _, value in pairs if key == name and value]


async def _touch(runtime: Runtime, session_id: UUID) -> None:
    try:
        async with asyncio.timeout(TOUCH_SECONDS), runtime.unit_of_work() as db:
            await sessions.touch(db, session_id)
    except (SQLAlchemyError, TimeoutError, OSError) as error:
        log.warning("session not touched", error=type(error).__name__)


async def current_user(request: Request, _: Annotated[str | None, Depends(bearer)]) -> Principal:
    """Whoever is signed in; raises NotAuthenticated."""
    user = await principal(request)
    if user is None:
        raise NotAuthenticated
    return user


CurrentUser = Annotated[Principal, Depends(current_user)]
OptionalUser = Annotated[Principal | None, Depends(principal)]


def staff_user(user: CurrentUser) -> Principal:
    """Whoever is signed in and may use the admin; raises NotAuthenticated or Forbidden."""
    if not user.is_staff:
        raise Forbidden
    return user


StaffUser = Annotated[Principal, Depends(staff_user)]
