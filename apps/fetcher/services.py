"""What the fetcher can do; every voice calls these."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from apps.fetcher.client import Fetched, Limits, Transport, fetch_all
from apps.fetcher.models import Batch, Fetch, Status
from apps.fetcher.schemas import BatchCreate
from project.core import AsyncSession, Principal, Slice, enqueue, get_or_404, now, paginate
from project.core.db.models import uuid7
from project.core.jobs import cancel

UNFINISHED = col(Batch.status).in_([Status.QUEUED, Status.RUNNING])


async def fetch_now(urls: Sequence[str], limits: Limits, transport: Transport) -> list[Fetched]:
    """Fetch while somebody waits: a result for each URL, in their order; equal ones are fetched once."""
    found = {each.url: each async for each in fetch_all(urls, limits, transport)}
    return [found[url] for url in urls]


async def create_batch(db: AsyncSession, user: Principal, data: BatchCreate) -> Batch:
    """Save the URLs, each once, and let a job fetch them; raises TooMany when this person's jobs wait already."""
    urls = list(dict.fromkeys(data.urls))
    batch = Batch(title=data.title, owner_id=user.id, total=len(urls))
    db.add(batch)
    await db.flush()
    rows = [{"id": uuid7(), "batch_id": batch.id, "number": number, "url": url} for number, url in enumerate(urls)]
    await db.exec(sa.insert(Fetch), params=rows)
    batch.job_id = await enqueue(db, "fetcher.run_batch", owner=user.id, batch_id=batch.id)
    return batch


async def list_batches(db: AsyncSession, user: Principal, *, limit: int = 10, offset: int = 0) -> Slice[Batch]:
    """This person's batches, the newest first."""
    mine = select(Batch).where(Batch.owner_id == user.id).order_by(col(Batch.id).desc())
    return await paginate(db, mine, limit=limit, offset=offset)


async def get_batch(db: AsyncSession, user: Principal, batch_id: UUID) -> Batch:
    """The batch; raises NotFound when there is none, or it is not theirs."""
    return await get_or_404(db, select(Batch).where(Batch.id == batch_id, Batch.owner_id == user.id))


async def list_results(
    db: AsyncSession, user: Principal, batch_id: UUID, *, limit: int = 10, offset: int = 0
) -> Slice[Fetch]:
    """The URLs of a batch that have a result, in their order; raises NotFound."""
    batch = await get_batch(db, user, batch_id)
    fetched = select(Fetch).where(Fetch.batch_id == batch.id, col(Fetch.fetched_at).is_not(None))
    return await paginate(db, fetched.order_by(col(Fetch.number)), limit=limit, offset=offset)


async def cancel_batch(db: AsyncSession, user: Principal, batch_id: UUID) -> Batch:
    """Stop a batch within seconds; what it has stays. One that has ended stays as it is. Raises NotFound."""
    batch = await get_batch(db, user, batch_id)
    stopped = sa.update(Batch).where(col(Batch.id) == batch_id, UNFINISHED).values(status=Status.CANCELLED)
    if (await db.exec(stopped)).rowcount and batch.job_id:
        await cancel(db, batch.job_id, owner=user.id)
    await db.refresh(batch)
    return batch


async def open_batch(db: AsyncSession, batch_id: UUID) -> tuple[Batch, dict[str, UUID]]:
    """Begin or go on; returns the batch and {url: id} of what has no result yet. Raises NotFound."""
    await db.exec(sa.update(Batch).where(col(Batch.id) == batch_id, UNFINISHED).values(status=Status.RUNNING))
    batch = await get_or_404(db, select(Batch).where(Batch.id == batch_id))
    waiting = select(Fetch.url, Fetch.id).where(Fetch.batch_id == batch_id, col(Fetch.fetched_at).is_(None))
    return batch, dict((await db.exec(waiting.order_by(col(Fetch.number)))).all())


async def record(db: AsyncSession, batch_id: UUID, ids: Mapping[str, UUID], results: Sequence[Fetched]) -> None:
    """Save results in one write, and count them."""
    if not results:
        return
    moment = now()
    rows = [{**asdict(each), "id": ids[each.url], "fetched_at": moment} for each in results]
    await db.exec(sa.update(Fetch), params=rows)
    failed = sum(each.error is not None for each in results)
    counted = {"done": col(Batch.done) + len(results), "failed": col(Batch.failed) + failed}
    await db.exec(sa.update(Batch).where(col(Batch.id) == batch_id).values(counted))


async def close_batch(db: AsyncSession, batch_id: UUID) -> None:
    """All of it has a result."""
    running = sa.update(Batch).where(col(Batch.id) == batch_id, col(Batch.status) == Status.RUNNING)
    await db.exec(running.values(status=Status.DONE))
