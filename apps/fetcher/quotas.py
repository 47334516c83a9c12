"""How much one person may have fetched: counted in the transaction of what is asked for, on any number of processes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from apps.fetcher.conf import FetcherSettings
from apps.fetcher.models import Batch, Status, Usage
from project.core import AsyncSession, Runtime, TooMany, now
from project.core.db.models import uuid7
from project.core.db.queries import insert

UNFINISHED = col(Batch.status).in_([Status.QUEUED, Status.RUNNING])
KEPT = timedelta(days=30)
RETRY_AFTER = 60.0  # seconds after which another batch may be done


async def take(db: AsyncSession, owner_id: UUID, urls: int, conf: FetcherSettings) -> None:
    """Count these URLs as today's; raises TooMany when they are more than are left until midnight (UTC).

    Until the end of the transaction nobody else takes for this person.
    """
    moment = now()
    new = insert(db, Usage).values(id=uuid7(), owner_id=owner_id, day=moment.date(), urls=urls)
    counted = new.on_conflict_do_update(
        index_elements=["owner_id", "day"], set_={"urls": col(Usage.urls) + new.excluded.urls}
    )
    taken = await db.scalar(counted.returning(col(Usage.urls)))
    if taken > conf.URLS_PER_DAY:
        midnight = datetime.combine(moment.date() + timedelta(days=1), datetime.min.time(), UTC)
        left = max(0, conf.URLS_PER_DAY - taken + urls)
        raise TooMany(
            f"You may have {conf.URLS_PER_DAY:,} URLs fetched in a day, and {left:,} are left today.",
            retry_after=(midnight - moment).total_seconds(),
        )


async def take_batch(db: AsyncSession, owner_id: UUID, urls: int, conf: FetcherSettings) -> None:
    """Count the URLs of one more batch; raises TooMany also when too many of this person's are not done yet."""
    await take(db, owner_id, urls, conf)
    unfinished = select(sa.func.count()).select_from(Batch).where(col(Batch.owner_id) == owner_id, UNFINISHED)
    if (await db.exec(unfinished)).one() >= conf.MAX_BATCHES:
        raise TooMany(
            f"{conf.MAX_BATCHES} of your batches are not done yet. Wait for one, or stop one.", retry_after=RETRY_AFTER
        )


async def forget(db: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Delete the counts of past months."""
    old = col(Usage.day) < now().date() - KEPT
    return {"counts of past months": (await db.exec(sa.delete(Usage).where(old))).rowcount}
