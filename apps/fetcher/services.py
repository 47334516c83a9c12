"""What can be done with batches; every voice calls these. Their results are in results.py."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from apps.fetcher.client import Fetched, Limits, Transport, fetch_all
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.models import ENDED, Batch, Fetch, Status
from apps.fetcher.outcomes import Outcome
from apps.fetcher.quotas import UNFINISHED, take, take_batch
from apps.fetcher.schemas import BatchCreate
from project.core import (
    AsyncSession,
    Conflict,
    Invalid,
    Principal,
    Runtime,
    Slice,
    enqueue,
    get_or_404,
    now,
    paginate,
)
from project.core.db.models import uuid7
from project.core.db.queries import contains
from project.core.jobs import Job, State, cancel
from project.core.live import Event, publish

INSERT_ROWS = 500  # in one statement; others have their turn between two
CHANGED = Event("changed")  # read the batch again


def topic(batch_id: UUID) -> str:
    """Where it is told that a batch has changed."""
    return f"fetcher.batch:{batch_id}"


async def fetch_now(
    runtime: Runtime, user: Principal, urls: Sequence[str], limits: Limits, transport: Transport
) -> list[Fetched]:
    """Fetch while somebody waits: a result for each URL, in their order; equal ones are fetched once.

    Raises TooMany when this person has had enough fetched today.
    """
    async with runtime.unit_of_work() as db:
        await take(db, user.id, len(set(urls)), runtime.conf(FetcherSettings))
    found = {each.url: each async for each in fetch_all(urls, limits, transport)}
    return [found[url] for url in urls]


async def create_batch(db: AsyncSession, user: Principal, data: BatchCreate, conf: FetcherSettings) -> Batch:
    """Save the URLs, each once, and let a job fetch them; raises Invalid for more than the site allows, and TooMany."""
    batch = Batch(
        title=data.title,
        owner_id=user.id,
        total=len(urls := list(dict.fromkeys(data.urls))),
        per_host=data.per_host or conf.PER_HOST,
        delay=data.delay,
        url_seconds=data.url_seconds or conf.URL_SECONDS,
        retries=data.retries,
    )
    most = {"urls": (batch.total, conf.MAX_URLS), "per_host": (batch.per_host, conf.PER_HOST)}
    for name, (wanted, allowed) in (most | {"url_seconds": (batch.url_seconds, conf.URL_SECONDS)}).items():
        if wanted > allowed:
            raise Invalid(f"At most {allowed:,g}.", field=name)
    await take_batch(db, user.id, batch.total, conf)
    db.add(batch)
    await db.flush()
    for start in range(0, len(urls), INSERT_ROWS):
        part = enumerate(urls[start : start + INSERT_ROWS], start)
        rows = [{"id": uuid7(), "batch_id": batch.id, "number": number, "url": url} for number, url in part]
        await db.exec(sa.insert(Fetch), params=rows)
    await _start(db, batch)
    return batch


async def list_batches(
    db: AsyncSession, user: Principal, *, q: str = "", status: Status | None = None, limit: int = 10, offset: int = 0
) -> Slice[Batch]:
    """This person's batches, the newest first; those with `q` in the title, those that stand so."""
    mine = select(Batch).where(Batch.owner_id == user.id).order_by(col(Batch.id).desc())
    if q:
        mine = mine.where(contains(Batch.title, q))
    if status:
        mine = mine.where(Batch.status == status)
    return await paginate(db, mine, limit=limit, offset=offset)


async def get_batch(db: AsyncSession, user: Principal, batch_id: UUID) -> Batch:
    """The batch; raises NotFound when there is none, or it is not theirs."""
    return await get_or_404(db, select(Batch).where(Batch.id == batch_id, Batch.owner_id == user.id))


async def cancel_batch(db: AsyncSession, user: Principal, batch_id: UUID) -> Batch:
    """Stop a batch within seconds; what it has stays. One that has ended stays as it is. Raises NotFound."""
    batch = await _held(db, user, batch_id)
    await stop(db, batch)
    await db.refresh(batch)
    return batch


async def stop(db: AsyncSession, batch: Batch) -> None:
    """Stop a batch of whomever, and its job, unless it has ended."""
    if await _end(db, batch.id, Status.CANCELLED, UNFINISHED) and batch.job_id:
        await cancel(db, batch.job_id)


async def retry_batch(db: AsyncSession, user: Principal, batch_id: UUID, conf: FetcherSettings) -> Batch:
    """Fetch once more what was refused or failed, and what a stopped batch had not come to.

    Raises NotFound, TooMany, and Conflict for one that is under way or has nothing to try again.
    """
    batch = await _held(db, user, batch_id)
    if batch.status not in ENDED:
        raise Conflict("This batch is still being fetched.")
    if batch.ok == batch.total:
        raise Conflict("Nothing of this batch needs to be tried again.")
    await take_batch(db, user.id, batch.total - batch.ok, conf)
    bad = sa.update(Fetch).where(col(Fetch.batch_id) == batch_id, col(Fetch.outcome).in_([*Outcome][1:]))
    await db.exec(bad.values(fetched_at=None, outcome=None, arrival=None))
    batch.status, batch.ended_at = Status.QUEUED, None
    batch.done, batch.refused, batch.failed = batch.ok, 0, 0
    await _start(db, batch)
    return batch


async def delete_batch(db: AsyncSession, user: Principal, batch_id: UUID) -> None:
    """Delete a batch with its results; one that is under way is stopped first. Raises NotFound."""
    batch = await cancel_batch(db, user, batch_id)
    await db.delete(batch)
    await _tell_ended(db, batch_id)


async def open_batch(db: AsyncSession, batch_id: UUID, job_id: UUID) -> tuple[Batch, dict[str, UUID]] | None:
    """Begin or go on, for the job that the batch was given to.

    Returns the batch and {url: id} of what has no result yet; None when the batch is not this job's any more.
    """
    opened = sa.update(Batch).where(_given_to(batch_id, job_id), UNFINISHED).values(status=Status.RUNNING)
    if not (await db.exec(opened)).rowcount:
        return None
    await publish(db, topic(batch_id), CHANGED)
    batch = (await db.exec(select(Batch).where(Batch.id == batch_id))).one()
    waiting = select(Fetch.url, Fetch.id).where(Fetch.batch_id == batch_id, col(Fetch.fetched_at).is_(None))
    return batch, dict((await db.exec(waiting.order_by(col(Fetch.number)))).all())


async def close_batch(db: AsyncSession, batch_id: UUID, job_id: UUID) -> bool:
    """All of it has a result; False when the batch is not this job's any more."""
    return await _end(db, batch_id, Status.DONE, _given_to(batch_id, job_id), UNFINISHED)


async def close_stranded(db: AsyncSession) -> None:
    """Stop the batches whose job has ended without them: cancelled or dead, and not by the batch's own doing."""
    working = sa.exists().where(col(Job.id) == Batch.job_id, col(Job.state).in_([State.QUEUED, State.RUNNING]))
    for batch_id in (await db.exec(select(Batch.id).where(UNFINISHED, ~working))).all():
        await _end(db, batch_id, Status.CANCELLED, UNFINISHED, ~working)


async def _held(db: AsyncSession, user: Principal, batch_id: UUID) -> Batch:
    """The batch, which nobody else changes or deletes until the end of the transaction; raises NotFound."""
    mine = select(Batch).where(Batch.id == batch_id, Batch.owner_id == user.id)
    return await get_or_404(db, mine.with_for_update())


def _given_to(batch_id: UUID, job_id: UUID) -> sa.ColumnElement[bool]:
    """A job that was stopped may still be running when the batch is tried again with another."""
    return sa.and_(col(Batch.id) == batch_id, col(Batch.job_id) == job_id)


async def _start(db: AsyncSession, batch: Batch) -> None:
    batch.job_id = await enqueue(db, "fetcher.run_batch", owner=batch.owner_id, batch_id=batch.id)
    await publish(db, topic(batch.id), CHANGED)


async def _end(db: AsyncSession, batch_id: UUID, status: Status, *conditions: sa.ColumnElement[bool]) -> bool:
    ended = sa.update(Batch).where(col(Batch.id) == batch_id, *conditions).values(status=status, ended_at=now())
    if not (await db.exec(ended.execution_options(synchronize_session=False))).rowcount:
        return False
    await _tell_ended(db, batch_id)
    return True


async def _tell_ended(db: AsyncSession, batch_id: UUID) -> None:
    for name in (topic(batch_id), f"fetcher.ended:{batch_id}"):
        await publish(db, name, CHANGED)
