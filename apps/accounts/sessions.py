"""Session rows: the strategy that turns a cookie's token into a person, and back; who is signed in where."""

import secrets
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from fastapi_users.authentication.strategy import Strategy
from fastapi_users.manager import BaseUserManager
from sqlalchemy import ColumnElement, and_, bindparam, delete, not_, or_, update
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts import events
from apps.accounts.conf import AccountsSettings
from apps.accounts.kinds import Kind
from apps.accounts.models import GRANTED, ApiToken, Session, User
from apps.accounts.schemas import UserRead
from project.core import AsyncSession, Invalid, NotFound, Principal, Runtime, Slice, now, paginate
from project.core.db.models import uuid7
from project.core.live import revoke
from project.core.signing import Signer
from project.core.web.limits import peer

WRONG = "E-mail or password is not right."
WRONG_OR_WAITING = "E-mail or password is not right, or the e-mail is not confirmed yet: the link is in your mailbox."
PURPOSE = "accounts.session"
TOUCH_EVERY = timedelta(minutes=1)
MOST = 100  # sessions of one person; one more ends the one that has rested longest


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


def wrong(confirms: bool) -> str:
    """What everybody reads who may not log in, whatever the reason; `confirms`: where a link opens the account."""
    return WRONG_OR_WAITING if confirms else WRONG


def hash_token(runtime: Runtime, token: str) -> str:
    """What is stored of a token: a leaked table opens no session, and neither does it after the key is gone."""
    return hashes(runtime, token)[0]


def hashes(runtime: Runtime, token: str) -> list[str]:
    """What may be stored of a token: its hash by each key that still counts, the signing key's first."""
    return Signer(runtime.settings.keys).digests(PURPOSE, token)


def by_token(runtime: Runtime, token: str, kind: str = "browser") -> ColumnElement[bool]:
    """The row with this token, hashed with a key that still counts."""
    return and_(col(Session.token_hash).in_(hashes(runtime, token)), col(Session.kind) == kind)


def lifetime(conf: AccountsSettings, kind: str, *, remember: bool) -> timedelta:
    """How long a session lasts at most, however much it is used."""
    if kind == "api":
        return timedelta(days=conf.REFRESH_DAYS)
    return timedelta(days=conf.REMEMBER_DAYS) if remember else timedelta(hours=conf.SESSION_HOURS)


def idle(conf: AccountsSettings, *, remember: bool) -> timedelta:
    """How long a session lasts unused."""
    return timedelta(days=conf.REMEMBER_IDLE_DAYS) if remember else timedelta(hours=conf.IDLE_HOURS)


def live(conf: AccountsSettings, moment: datetime) -> ColumnElement[bool]:
    """The sessions that still count: not at their end, and used lately."""
    return _live(**moments(conf, moment))


def moments(conf: AccountsSettings, moment: datetime) -> dict[str, datetime]:
    """When a session must end at the earliest, and have been used at the latest, to count at this moment."""
    remembered, seen = (moment - idle(conf, remember=remember) for remember in (True, False))
    return {"moment": moment, "remembered": remembered, "seen": seen}


def _live(moment: Any, remembered: Any, seen: Any) -> ColumnElement[bool]:
    remember, last = col(Session.remember), col(Session.last_seen_at)
    used = or_(and_(remember, last > remembered), and_(not_(remember), last > seen))
    return and_(col(Session.expires_at) > moment, used)


class SessionStrategy(Strategy[User, UUID]):
    """fastapi-users' strategy on session rows.

    Args:
        db: the session of the current unit of work.
        runtime: of this process.
        conn: the connection, for the device and address shown to the person.
        kind: "browser" for a cookie, "api" for a family of refresh tokens.
        remember: whether it may rest for days; an API client's always may.
    """

    def __init__(
        self, db: AsyncSession, runtime: Runtime, conn: HTTPConnection, kind: str = "browser", *, remember: bool = False
    ) -> None:
        self.db, self.runtime, self.conn, self.kind = db, runtime, conn, kind
        self.conf, self.remember = runtime.conf(AccountsSettings), remember or kind == "api"

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
            token_hash=hash_token(self.runtime, token),
            user_id=user.id,
            kind=self.kind,
            remember=self.remember,
            user_agent=self.conn.headers.get("user-agent", "")[:300],
            address=peer(self.conn),
            expires_at=now() + lifetime(self.conf, self.kind, remember=self.remember),
        )
        self.db.add(row)
        await self.db.flush()
        await _make_room(self.db, user.id)
        await events.note(self.db, user.id, Kind.SIGNED_IN, self.conn, "API client" if self.kind == "api" else "")
        return row, token

    async def write_token(self, user: User) -> str:
        return (await self.open(user))[1]

    async def read_token(self, token: str | None, user_manager: BaseUserManager[User, UUID]) -> User | None:
        found = await find(self.db, self.conf, by_token(self.runtime, token)) if token else None
        return found[1] if found else None

    async def destroy_token(self, token: str, user: User) -> None:
        await self.db.exec(delete(Session).where(by_token(self.runtime, token)))
        await revoke(self.db, user.id)


async def _make_room(db: AsyncSession, user_id: UUID) -> None:
    newest = select(Session.id).where(Session.user_id == user_id).order_by(col(Session.last_seen_at).desc())
    await db.exec(delete(Session).where(col(Session.id).in_(newest.offset(MOST))))


async def find(db: AsyncSession, conf: AccountsSettings, which: ColumnElement[bool]) -> tuple[Session, User] | None:
    """The live session and its active person; or None."""
    statement = (
        select(Session, User)
        .join(User, col(User.id) == col(Session.user_id))
        .where(which, live(conf, now()), col(User.is_active))
    )
    row = (await db.exec(statement)).first()
    return (row[0], row[1]) if row else None


@cache
def asking(way: str, keys: int = 1) -> sa.Select[Any]:
    """Who comes by a session, in one query that is built once: it is asked with each request.

    `way` is "cookie", with a `hash0` for each of so many keys, or "id", with `session_id`; `moments` are needed, too.
    """
    if way == "id":
        which = col(Session.id) == bindparam("session_id")
    else:
        hashes = [col(Session.token_hash) == bindparam(f"hash{number}") for number in range(keys)]
        which = and_(or_(*hashes), col(Session.kind) == "browser")
    of_person = [col(getattr(User, name)) for name in (*UserRead.model_fields, "is_superuser")]
    of_session = [col(getattr(Session, name)) for name in ("remember", "last_seen_at", "expires_at")]
    counts = _live(*map(bindparam, ("moment", "remembered", "seen")))
    return (
        sa.select(*of_person, col(Session.id).label("session_id"), *of_session, GRANTED.label("granted"))
        .join_from(Session, User, col(User.id) == col(Session.user_id))
        .where(which, counts, col(User.is_active))
    )


async def list_sessions(
    db: AsyncSession, runtime: Runtime, user: Principal, *, limit: int, offset: int = 0
) -> Slice[Session]:
    """Where one is signed in, this one first, then by when it was used."""
    mine = select(Session).where(Session.user_id == user.id, live(runtime.conf(AccountsSettings), now()))
    this = (col(Session.id) == user.session_id).desc()
    return await paginate(db, mine.order_by(this, col(Session.last_seen_at).desc()), limit=limit, offset=offset)


async def end_one(db: AsyncSession, user: Principal, session_id: UUID, conn: HTTPConnection) -> None:
    """Sign one device of one's own out; raises NotFound for any other."""
    mine = (col(Session.id) == session_id) & (col(Session.user_id) == user.id)
    if not (await db.exec(delete(Session).where(mine))).rowcount:
        raise NotFound
    await revoke(db, user.id)
    await events.note(db, user.id, Kind.SESSION_ENDED, conn)


async def end_mine(db: AsyncSession, user: Principal, conn: HTTPConnection) -> None:
    """Sign oneself out everywhere but here."""
    await end_others(db, user.id, keep=user.session_id)
    await events.note(db, user.id, Kind.SESSIONS_ENDED, conn)


async def touch(db: AsyncSession, session_id: UUID) -> None:
    """Remember that the session was used just now."""
    await db.exec(update(Session).where(col(Session.id) == session_id).values(last_seen_at=now()))


async def end_others(db: AsyncSession, user_id: UUID, keep: UUID) -> None:
    """Sign the person out everywhere but here."""
    await db.exec(delete(Session).where(col(Session.user_id) == user_id, col(Session.id) != keep))
    await revoke(db, user_id)


async def end_all(db: AsyncSession, user_id: UUID) -> None:
    """Sign the person out everywhere, and revoke their API tokens."""
    await db.exec(delete(Session).where(col(Session.user_id) == user_id))
    await db.exec(delete(ApiToken).where(col(ApiToken.user_id) == user_id))
    await revoke(db, user_id)


async def rotate(db: AsyncSession, runtime: Runtime, session_id: UUID) -> str | None:
    """Make a browser's session another one, so that a copy of its former token, or a request of it, counts no more."""
    token = new_token()
    mine = (col(Session.id) == session_id) & (col(Session.kind) == "browser")
    fresh = {"id": uuid7(), "token_hash": hash_token(runtime, token)}
    changed = await db.exec(update(Session).where(mine).values(**fresh).execution_options(synchronize_session=False))
    return token if changed.rowcount else None


async def forget(db: AsyncSession, conf: AccountsSettings) -> dict[str, int]:
    """Delete the sessions and API tokens that count no more; returns how many."""
    ended = await db.exec(delete(Session).where(not_(live(conf, now()))))
    expired = await db.exec(delete(ApiToken).where(col(ApiToken.expires_at) <= now()))
    return {"sessions": ended.rowcount, "API tokens": expired.rowcount}
