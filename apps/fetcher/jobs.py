"""What the fetcher does later: open, fetch, record, close; and once in a while it puts things in order."""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import replace
from uuid import UUID

from apps.fetcher import quotas, services
from apps.fetcher.client import Fetched, Transport, fetch_all
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.models import Batch
from apps.fetcher.results import record
from project.core import NotFound, Running, job
from project.core.jobs import cron

BATCH_SECONDS = 3600.0
RECORD_SECONDS = 0.5  # between two writes
RECORD_ROWS = 500


@job(timeout=BATCH_SECONDS + 60)
async def run_batch(running: Running, batch_id: UUID) -> None:
    """Fetch what has no result yet; a batch that was interrupted goes on where it was, one that was deleted is over."""
    async with running.step() as db:
        opened = await services.open_batch(db, batch_id, running.id)
    with suppress(NotFound):
        if opened is not None:
            await _fetch(running, *opened)


async def _fetch(running: Running, batch: Batch, waiting: dict[str, UUID]) -> None:
    done, total = batch.done, batch.total
    limits = replace(
        running.runtime.conf(FetcherSettings).limits(BATCH_SECONDS),
        per_host=batch.per_host,
        delay=batch.delay,
        url_seconds=batch.url_seconds,
        retries=batch.retries,
    )
    loop, fresh = asyncio.get_running_loop(), list[Fetched]()
    recorded_at = loop.time()
    async with aclosing(fetch_all(waiting, limits, running.runtime.find(Transport))) as results:
        async for fetched in results:
            fresh.append(fetched)
            if len(fresh) >= RECORD_ROWS or loop.time() - recorded_at > RECORD_SECONDS:
                async with running.step() as db:
                    await record(db, batch.id, running.id, waiting, fresh)
                done, fresh, recorded_at = done + len(fresh), [], loop.time()
                await running.progress(done, total)
    await running.progress(total, total)
    async with running.unit_of_work() as db:
        await record(db, batch.id, running.id, waiting, fresh)
        await services.close_batch(db, batch.id, running.id)


@cron(minute=set(range(0, 60, 5)), unique=True)
async def tidy(running: Running) -> None:
    """Stop the batches that nobody works on, and forget old counts."""
    async with running.unit_of_work() as db:
        await services.close_stranded(db)
        await quotas.forget(db)
