"""Refresh tokens: opaque, used once, one family for each API client's session (RFC 9700, section 4.14).

All tokens of a family begin alike: by that part its session is found, so that whatever else comes with it is known
for a token that was used up. Each token, together with a secret of its row, gives the one that follows it. So several
requests that race with one token all get the same successor, though no token is kept: one rotation, no false alarm.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import col, delete, select
from starlette.requests import HTTPConnection

from apps.accounts import events, notices, sessions
from apps.accounts.conf import AccountsSettings
from apps.accounts.kinds import Kind
from apps.accounts.models import RefreshToken, Session, User
from apps.accounts.sessions import SessionStrategy
from project.core import AsyncSession, Runtime, live, now
from project.core.signing import BadToken, Signer

ACCESS = "accounts.access"
PREFIX = "upr_"
GRACE = timedelta(seconds=10)  # how long a used token still gives its successor, for requests that raced


@dataclass(frozen=True)
class Pair:
    """What an API client is given: two tokens, and the seconds that the first one counts."""

    access: str
    refresh: str
    seconds: int


async def open_family(db: AsyncSession, runtime: Runtime, conn: HTTPConnection, user: User) -> Pair:
    """A session for an API client, and its first tokens; raises Invalid as SessionStrategy.open does."""
    session, handle = await SessionStrategy(db, runtime, conn, kind="api").open(user)
    token = f"{PREFIX}{handle}.{secrets.token_hex(32)}"
    await _add(db, session.id, token)
    return _pair(runtime, session, token)


async def rotate(db: AsyncSession, runtime: Runtime, conn: HTTPConnection, token: str) -> Pair | None:
    """The tokens that follow this one, or None for a token that does not count.

    One that was used before GRACE is somebody's copy: the session ends with all its tokens, which the caller must
    let be committed.
    """
    session = await _family(db, runtime, token)
    if session is None:
        return None
    moment = now()
    rows = {row.token_hash: row for row in await db.scalars(select(RefreshToken).where(_of(session.id)))}
    row = rows.get(_hash(token))
    if row is None or (row.used_at is not None and moment - row.used_at > GRACE):
        await db.delete(session)
        await live.revoke(db, session.user_id)
        await notices.tell(db, session.user_id, Kind.TOKEN_REUSED, conn)
        return None
    if row.used_at is None:
        row.used_at = session.last_seen_at = moment
        following = _after(token, row)
        rows[_hash(following)] = await _add(db, session.id, following)
        await _forget_used(db, session.id, moment)
    while (row := rows[_hash(token)]).used_at is not None:
        token = _after(token, row)
    return _pair(runtime, session, token)


async def revoke(db: AsyncSession, runtime: Runtime, conn: HTTPConnection, token: str) -> bool:
    """End the session of a refresh or access token (RFC 7009); returns whether there was one."""
    session = await _family(db, runtime, token)
    if session is None and (claims := read_access_token(runtime, token)) is not None:
        mine = (col(Session.id) == claims.session_id) & (col(Session.user_id) == claims.user_id)
        found = await sessions.find(db, runtime.conf(AccountsSettings), mine)
        session = found[0] if found else None
    if session is None:
        return False
    await db.delete(session)
    await live.revoke(db, session.user_id)
    await events.note(db, session.user_id, Kind.SIGNED_OUT, conn, "API client")
    return True


class Claims(NamedTuple):
    """What an access token is about."""

    session_id: UUID
    user_id: UUID


def read_access_token(runtime: Runtime, token: str) -> Claims | None:
    """What a good access token is about, or None."""
    try:
        claims = Signer(runtime.settings.keys).read(ACCESS, token)
        return Claims(UUID(claims["sid"]), UUID(claims["sub"]))
    except (BadToken, KeyError, ValueError, TypeError, AttributeError):
        return None


async def _family(db: AsyncSession, runtime: Runtime, token: str) -> Session | None:
    """The live session that a refresh token belongs to, locked: whoever else comes with one waits."""
    handle = token.removeprefix(PREFIX).partition(".")[0]
    if not token.startswith(PREFIX) or not token.isascii():
        return None
    mine = sessions.by_token(runtime, handle, kind="api")
    statement = (
        select(Session)
        .join(User, col(User.id) == col(Session.user_id))
        .where(mine, sessions.live(runtime.conf(AccountsSettings), now()), col(User.is_active))
    )
    return (await db.exec(statement.with_for_update(of=Session))).first()


async def _add(db: AsyncSession, session_id: UUID, token: str) -> RefreshToken:
    row = RefreshToken(session_id=session_id, token_hash=_hash(token), next_secret=secrets.token_hex(32))
    db.add(row)
    await db.flush()
    return row


async def _forget_used(db: AsyncSession, session_id: UUID, moment: datetime) -> None:
    old = col(RefreshToken.used_at) < moment - GRACE
    await db.exec(delete(RefreshToken).where(_of(session_id), old))


def _of(session_id: UUID) -> ColumnElement[bool]:
    return col(RefreshToken.session_id) == session_id


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def _after(token: str, row: RefreshToken) -> str:
    """The token that follows a used one."""
    shared = token.partition(".")[0]
    return f"{shared}.{hmac.new(token.encode(), row.next_secret.encode(), sha256).hexdigest()}"


def _pair(runtime: Runtime, session: Session, token: str) -> Pair:
    left = session.expires_at - now()
    lasting = min(timedelta(minutes=runtime.conf(AccountsSettings).ACCESS_MINUTES), left)
    seconds = max(1, int(lasting.total_seconds()))
    signed = Signer(runtime.settings.keys).sign(ACCESS, str(session.user_id), seconds, sid=str(session.id))
    return Pair(signed, token, seconds)
