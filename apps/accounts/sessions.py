"""Session rows: the strategy that turns a cookie's token into a person, and back."""

import secrets
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from fastapi_users.authentication.strategy import Strategy
from fastapi_users.manager import BaseUserManager
from sqlalchemy import ColumnElement, delete, update
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts.models import Session, User
from project.core import AsyncSession, Invalid, now
from project.core.live import revoke
from project.core.web.limits import peer

WRONG = "E-mail or password is not right."
WRONG_OR_WAITING = "E-mail or password is not right, or the e-mail is not confirmed yet: the link is in your mailbox."
TOUCH_EVERY = timedelta(minutes=1)


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def wrong(confirms: bool) -> str:
    """What everybody reads who may not log in, whatever the reason; `confirms`: where a link opens the account."""
    return WRONG_OR_WAITING if confirms else WRONG


def hash_token(token: str) -> str:
    """What is stored of a token: a leaked table opens no session."""
    return sha256(token.encode()).hexdigest()


class SessionStrategy(Strategy[User, UUID]):
    """fastapi-users' strategy on session rows.

    Args:
        db: the session of the current unit of work.
        conn: the connection, for the device and address shown to the person.
        lifetime: how long a session lasts.
        kind: "browser" for a cookie, "api" for an access token.
    """

    def __init__(self, db: AsyncSession, conn: HTTPConnection, lifetime: timedelta, kind: str = "browser") -> None:
        self.db, self.conn, self.lifetime, self.kind = db, conn, lifetime, kind

    async def open(self, user: User) -> tuple[Session, str]:
        """A new row, and the 256-bit token that only the client keeps.

        Raises Invalid when the account has been closed or got another password since `user` was read: hashing
        takes a while, and a log-in must not outlive the password it was made with.
        """
        current = select(User.hashed_password, User.is_active).where(User.id == user.id).with_for_update()
        if (await self.db.exec(current)).first() != (user.hashed_password, True):
            raise Invalid(WRONG, code="invalid_credentials")
        token = new_token()
        row = Session(
            token_hash=hash_token(token),
            user_id=user.id,
            kind=self.kind,
            user_agent=self.conn.headers.get("user-agent", "")[:300],
            address=peer(self.conn),
            expires_at=now() + self.lifetime,
        )
        self.db.add(row)
        await self.db.flush()
        return row, token

    async def write_token(self, user: User) -> str:
        return (await self.open(user))[1]

    async def read_token(self, token: str | None, user_manager: BaseUserManager[User, UUID]) -> User | None:
        found = await find(self.db, by_token(token)) if token else None
        return found[1] if found else None

    async def destroy_token(self, token: str, user: User) -> None:
        await self.db.exec(delete(Session).where(by_token(token)))
        await revoke(self.db, user.id)


def by_token(token: str) -> ColumnElement[bool]:
    """The row with this token."""
    return col(Session.token_hash) == hash_token(token)


async def find(db: AsyncSession, which: ColumnElement[bool]) -> tuple[Session, User] | None:
    """The live session and its active person, or None."""
    statement = (
        select(Session, User)
        .join(User, col(User.id) == col(Session.user_id))
        .where(which, col(Session.expires_at) > now(), col(User.is_active))
    )
    row = (await db.exec(statement)).first()
    return (row[0], row[1]) if row else None


async def touch(db: AsyncSession, session_id: UUID) -> None:
    """Remember that the session was used just now."""
    await db.exec(update(Session).where(col(Session.id) == session_id).values(last_seen_at=now()))


async def end_others(db: AsyncSession, user_id: UUID, keep: UUID) -> None:
    """Sign the person out everywhere but here."""
    await db.exec(delete(Session).where(col(Session.user_id) == user_id, col(Session.id) != keep))
    await revoke(db, user_id)


async def rotate(db: AsyncSession, session_id: UUID) -> str | None:
    """Give a browser's session a new token, so that a copy of the former one counts no more."""
    token = new_token()
    mine = (col(Session.id) == session_id) & (col(Session.kind) == "browser")
    changed = await db.exec(update(Session).where(mine).values(token_hash=hash_token(token)))
    return token if changed.rowcount else None
