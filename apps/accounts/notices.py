"""Mail that tells owners what happened to their accounts, sent with the event and never oftener than one is kept.

It holds nothing that was typed: whoever opens an account with a stranger's address would write to them by it.
"""

from uuid import UUID

from sqlmodel import select
from starlette.requests import HTTPConnection

from apps.accounts import events
from apps.accounts.kinds import Kind
from apps.accounts.models import User
from project.core import AsyncSession
from project.core.jobs.mailing import send_mail

MAILS = {
    Kind.PASSWORD_CHANGED: "password_changed",
    Kind.PASSWORD_RESET: "password_changed",
    Kind.TOKEN_MADE: "token_made",
    Kind.TOKEN_REUSED: "token_reused",
}


async def tell(db: AsyncSession, user_id: UUID, kind: Kind, conn: HTTPConnection | None, detail: str = "") -> None:
    """Write down what happened, as `events.note` does, and mail it to its owner, in the caller's transaction.

    What is only counted any more is not mailed: events.MOST mails of a kind reach somebody in an hour.
    """
    event = await events.note(db, user_id, kind, conn, detail)
    if event is not None:
        to = (await db.exec(select(User.email).where(User.id == user_id))).one()
        when = ", ".join(filter(None, (f"{event.happened_at:%Y-%m-%d %H:%M} UTC", event.address)))
        await send_mail(db, f"mail/accounts/{MAILS[kind]}.html", to, {"when": when})
