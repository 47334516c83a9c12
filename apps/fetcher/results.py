"""Results of a batch: recorded as they come, listed, followed and exported."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select
from sqlmodel.sql.expression import SelectOfScalar

from apps.fetcher.client import Fetched
from apps.fetcher.models import Batch, Fetch
from apps.fetcher.outcomes import Outcome
from apps.fetcher.quotas import UNFINISHED
from apps.fetcher.schemas import FetchRead, Sort
from apps.fetcher.services import CHANGED, get_batch, topic
from project.core import AsyncSession, NotFound, Principal, Runtime, Slice, now, paginate
from project.core.db.queries import contains, order_by
from project.core.live import publish

PORTION = 500  # rows that are in memory at once, of however many
KEPT = ["outcome", *(each.name for each in fields(Fetched) if each.name != "url")]
EXPORTED = ["number", *FetchRead.model_fields]


async def record(
    db: AsyncSession, batch_id: UUID, job_id: UUID, ids: Mapping[str, UUID], results: Sequence[Fetched]
) -> None:
    """Save results in one write, and count them; raises NotFound when the batch was stopped, or is another job's."""
    if not results:
        return
    outcomes = [each.outcome for each in results]
    counted = {
        "done": col(Batch.done) + len(results),
        "refused": col(Batch.refused) + outcomes.count(Outcome.REFUSED),
        "failed": col(Batch.failed) + outcomes.count(Outcome.FAILED),
        "arrivals": col(Batch.arrivals) + len(results),
    }
    mine = sa.update(Batch).where(col(Batch.id) == batch_id, col(Batch.job_id) == job_id, UNFINISHED)
    last = await db.scalar(mine.values(counted).returning(col(Batch.arrivals)))
    if last is None:
        raise NotFound
    moment, first = now(), last - len(results) + 1
    rows = [
        {name: getattr(each, name) for name in KEPT} | {"id": ids[each.url], "arrival": arrival, "fetched_at": moment}
        for arrival, each in enumerate(results, first)
    ]
    await db.exec(sa.update(Fetch), params=rows)
    await publish(db, topic(batch_id), CHANGED)


def _of(batch_id: UUID, q: str = "", outcome: Outcome | None = None) -> SelectOfScalar[Fetch]:
    fetched = select(Fetch).where(Fetch.batch_id == batch_id, col(Fetch.fetched_at).is_not(None))
    if outcome:
        fetched = fetched.where(Fetch.outcome == outcome)
    return fetched.where(contains(Fetch.url, q) | contains(Fetch.title, q)) if q else fetched


async def list_results(
    db: AsyncSession,
    user: Principal,
    batch_id: UUID,
    *,
    q: str = "",
    outcome: Outcome | None = None,
    sort: Sort = Sort.NUMBER,
    limit: int = 10,
    offset: int = 0,
) -> Slice[Fetch]:
    """The URLs of a batch that have a result; raises NotFound."""
    await get_batch(db, user, batch_id)
    allowed = {each.removeprefix("-"): getattr(Fetch, each.removeprefix("-")) for each in Sort}
    found = order_by(_of(batch_id, q, outcome), sort, allowed).order_by(col(Fetch.number))
    return await paginate(db, found, limit=limit, offset=offset)


async def arrived(db: AsyncSession, batch_id: UUID, after: int, limit: int = PORTION) -> list[Fetch]:
    """The results that came after that many others, in the order they came."""
    newer = _of(batch_id).where(col(Fetch.arrival) > after).order_by(col(Fetch.arrival)).limit(limit)
    return list((await db.exec(newer)).all())


async def latest(db: AsyncSession, batch_id: UUID, limit: int) -> list[Fetch]:
    """The results that came last, the newest first."""
    return list((await db.exec(_of(batch_id).order_by(col(Fetch.arrival).desc()).limit(limit))).all())


async def walk(
    runtime: Runtime, batch_id: UUID, *, q: str = "", outcome: Outcome | None = None
) -> AsyncGenerator[Mapping[str, Any], None]:
    """Every result as plain data, in the order of the URLs, a portion at a time; no connection is held in between."""
    last = -1
    while True:
        portion = _of(batch_id, q, outcome).where(col(Fetch.number) > last).order_by(col(Fetch.number)).limit(PORTION)
        async with runtime.unit_of_work(write=False) as db:
            rows = (await db.exec(portion)).all()
        for row in rows:
            yield {name: getattr(row, name) for name in EXPORTED}
        if len(rows) < PORTION:
            return
        last = rows[-1].number
