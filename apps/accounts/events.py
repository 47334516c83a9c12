"""What happened to an account, written in the transaction of what it tells, for its owner and for staff to read."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemySession
from sqlmodel import col, select
from starlette.requests import HTTPConnection

from apps.accounts.conf import AccountsSettings
from apps.accounts.devices import device_of
from apps.accounts.kinds import Kind
from apps.accounts.models import Event, User
from apps.accounts.schemas import normalise_email
from project.core import AsyncSession, Principal, Runtime, Slice, now, paginate
from project.core.web.limits import peer

SPAN, MOST = timedelta(hours=1), 10  # rows of one kind about one account; what comes on top is counted


async def note(
    db: SQLAlchemySession, user_id: UUID | None, kind: Kind, conn: HTTPConnection | None, detail: str = ""
) -> Event | None:
    """Write down what happened, in the caller's transaction; `conn` is theirs, or None where somebody else did it.

    However often somebody does it, an account gets MOST rows of a kind in an hour; the newest counts the others, and
    None is returned.
    """
    agent = conn.headers.get("user-agent", "") if conn else ""
    told: dict[str, Any] = {
        "detail": detail[:100],
        "address": peer(conn) if conn else "",
        "device": device_of(agent) if conn else "",
        "happened_at": now(),
    }
    lately = (col(Event.user_id) == user_id, col(Event.kind) == kind, col(Event.happened_at) > now() - SPAN)
    newest = select(Event.id, func.count().over()).where(*lately).order_by(col(Event.happened_at).desc()).limit(1)
    found = (await db.execute(newest)).first()
    if found is None or found[1] < MOST:
        db.add(row := Event(user_id=user_id, kind=kind, **told))
        await db.flush()
        return row
    again = update(Event).where(col(Event.id) == found[0])
    await db.execute(again.values(count=Event.count + 1, **told))
    return None


async def note_failure(runtime: Runtime, email: str, kind: Kind, conn: HTTPConnection) -> None:
    """Write down what was refused, in a transaction of its own, since a refusal rolls back the request's.

    The same is done for every e-mail: one that nobody has counts for the site as a whole, and is not kept.
    """
    async with runtime.unit_of_work() as db:
        whose = (await db.exec(select(User.id).where(User.email == normalise_email(email)))).first()
        await note(db, whose, kind, conn)


async def list_events(db: AsyncSession, user: Principal, *, limit: int, offset: int = 0) -> Slice[Event]:
    """What happened to one's own account, the newest first."""
    mine = select(Event).where(Event.user_id == user.id)
    newest = mine.order_by(col(Event.happened_at).desc(), col(Event.id).desc())
    return await paginate(db, newest, limit=limit, offset=offset)


async def forget(db: AsyncSession, conf: AccountsSettings) -> dict[str, int]:
    """Delete what is older than people want to know; returns how many."""
    old = col(Event.happened_at) < now() - timedelta(days=conf.EVENTS_KEPT_DAYS)
    return {"events": (await db.exec(delete(Event).where(old))).rowcount}
