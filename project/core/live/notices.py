"""Notices: a word to one person, a toast on each page of the site that they have open, or else on the next one."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, col, select

from project.core.db.models import Model, now
from project.core.db.session import AsyncSession
from project.core.identity import Principal
from project.core.live.bus import publish
from project.core.live.events import Event

Level = Literal["info", "success", "warning", "error"]
LEVELS = get_args(Level)
NOTICE = "notice"
HERE = re.compile(r"/(?!/)[^\\\s\x00-\x1f\x7f]{0,1999}")  # an address of this site, however a browser reads it
LONGEST = 500  # characters of a text; a longer one is cut
KEPT = timedelta(days=7)  # for which one waits for a page
MOST = 20  # that wait and are shown at once


class Notice(Model, table=True):
    """A word that no page has shown yet."""

    __tablename__ = "core_notice"

    user_id: UUID = Field(index=True)
    level: str = Field(max_length=10)
    text: str = Field(max_length=LONGEST)
    url: str = Field(max_length=2000)
    created_at: datetime = Field(default_factory=now, index=True)


async def notify(
    db: AsyncSession, user: Principal | Model | UUID, text: str, level: Level = "info", url: str = ""
) -> None:
    """Tell a person something, once `db` has committed: `await notify(db, user, "Your export is ready")`.

    Call it in a handler, a job, a command or the admin. Each page of the site that they look at shows it; where there
    is none, their next one does, for a week. It is shown again by no page that opens later, and never kept as a record.

    Args:
        db: of the unit of work; after a rollback nobody is told.
        user: whoever it is for, or their id.
        text: plain text; what is beyond 500 characters is cut.
        level: `info` and `success` go by themselves, `warning` and `error` stay until they are closed.
        url: where the toast leads: a path of this site, such as `url("blog:list")` gives.

    Raises ValueError for a level that is none and for a `url` that leads elsewhere.
    """
    if url and not HERE.fullmatch(url):
        raise ValueError(f"{url!r} is no path of this site")
    if level not in LEVELS:
        raise ValueError(f"a notice is {', '.join(LEVELS)}; {level!r} is none of them")
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    notice = Notice(user_id=user if isinstance(user, UUID) else user.id, level=level, text=text, url=url)
    db.add(notice)
    await publish(db, topic_of(notice.user_id), _event(notice))


def topic_of(user_id: UUID) -> str:
    """Where a person's notices are told."""
    return f"core/notices:{user_id}"


async def waiting(db: AsyncSession, user_id: UUID) -> Sequence[Event]:
    """What no page has shown this person yet: the newest of it, in order."""
    found = select(Notice).where(Notice.user_id == user_id).order_by(col(Notice.created_at).desc()).limit(MOST)
    return [_event(each) for each in reversed((await db.exec(found)).all())]


async def forget(db: AsyncSession, event: Event) -> None:
    """It has been shown."""
    await db.execute(sa.delete(Notice).where(col(Notice.id) == UUID(event.id)))


def _event(notice: Notice) -> Event:
    return Event(NOTICE, {"level": notice.level, "text": notice.text, "url": notice.url}, str(notice.id))
