"""Personal API tokens: made by a person for a program, shown once, kept as a hash."""

import secrets
import string
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from sqlmodel import col, delete, func, select, update
from starlette.requests import HTTPConnection

from apps.accounts import events, notices
from apps.accounts.kinds import Kind
from apps.accounts.models import ApiToken, Session, User
from apps.accounts.schemas import ApiTokenCreate
from project.core import AsyncSession, Conflict, NotFound, Principal, Slice, live, now, paginate
from project.core.errors import NotAuthenticated

PREFIX = "upt_"  # by which programs that look through code for secrets know one
LETTERS = string.ascii_letters + string.digits
LENGTH = 43  # letters: 256 random bits
MOST = 50  # tokens of one person


async def make(db: AsyncSession, user: Principal, data: ApiTokenCreate, conn: HTTPConnection) -> tuple[ApiToken, str]:
    """A new token's row, and the token itself, which nobody sees again.

    Raises Conflict for one too many, and NotAuthenticated when the session that asks has ended a moment ago: what
    ends sessions ends tokens, and none may slip through between the two.
    """
    asking = select(Session.id).where(Session.id == user.session_id).with_for_update()
    if (await db.exec(asking)).first() is None:
        raise NotAuthenticated
    await db.exec(select(User.id).where(User.id == user.id).with_for_update())
    if (await db.exec(select(func.count()).where(ApiToken.user_id == user.id))).one() >= MOST:
        raise Conflict(f"You have {MOST} tokens. Revoke those that are not used any more.")
    token = PREFIX + "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    row = ApiToken(
        user_id=user.id,
        name=data.name,
        token_hash=_hash(token),
        scopes=sorted({scope.value for scope in data.scopes}),
        expires_at=now() + timedelta(days=data.expires_in_days),
    )
    db.add(row)
    await db.flush()
    await notices.tell(db, user.id, Kind.TOKEN_MADE, conn, data.name)
    return row, token


async def list_tokens(db: AsyncSession, user: Principal, *, limit: int, offset: int = 0) -> Slice[ApiToken]:
    """One's own tokens that still count, the newest first."""
    mine = select(ApiToken).where(ApiToken.user_id == user.id, ApiToken.expires_at > now())
    return await paginate(db, mine.order_by(col(ApiToken.id).desc()), limit=limit, offset=offset)


async def revoke(db: AsyncSession, user: Principal, token_id: UUID, conn: HTTPConnection) -> None:
    """Let one's own token count no more; raises NotFound for any other."""
    mine = delete(ApiToken).where(col(ApiToken.id) == token_id, col(ApiToken.user_id) == user.id)
    name = (await db.execute(mine.returning(col(ApiToken.name)))).scalar()
    if name is None:
        raise NotFound
    await live.revoke(db, user.id)
    await events.note(db, user.id, Kind.TOKEN_REVOKED, conn, name)


async def revoke_found(db: AsyncSession, token: str, conn: HTTPConnection) -> None:
    """Let a token count no more by whoever has it: also the way to end one that was found somewhere."""
    mine = delete(ApiToken).where(col(ApiToken.token_hash) == _hash(token))
    found = (await db.execute(mine.returning(col(ApiToken.user_id), col(ApiToken.name)))).first()
    if found is not None:
        await live.revoke(db, found[0])
        await events.note(db, found[0], Kind.TOKEN_REVOKED, conn, found[1])


async def find(db: AsyncSession, token: str) -> tuple[ApiToken, User] | None:
    """The token that still counts and its active person, or None."""
    statement = (
        select(ApiToken, User)
        .join(User, col(User.id) == col(ApiToken.user_id))
        .where(ApiToken.token_hash == _hash(token), ApiToken.expires_at > now(), col(User.is_active))
    )
    row = (await db.exec(statement)).first()
    return (row[0], row[1]) if row else None


async def touch(db: AsyncSession, token_id: UUID) -> None:
    """Remember that the token was used just now."""
    await db.exec(update(ApiToken).where(col(ApiToken.id) == token_id).values(last_used_at=now()))


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
