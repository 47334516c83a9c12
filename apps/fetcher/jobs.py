"""What the fetcher does later: open, fetch, record, close; and once in a while it puts things in order."""

import asyncio
from collections.abc import AsyncGenerator
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
from project.core.live import notify

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
    async with (
        aclosing(fetch_all(waiting, limits, running.runtime.find(Transport))) as results,
        aclosing(_portions(results)) as portions,
    ):
        async for fresh in portions:
            async with running.step() as db:
                await record(db, batch.id, running.id, waiting, fresh)
            done += len(fresh)
            await running.progress(done, total)
    await running.progress(total, total)
    async with running.unit_of_work() as db:
        if await services.close_batch(db, batch.id, running.id):
            words = f"{batch.title or 'Your batch'}: all {total:,} addresses are done."
            here = running.runtime.registry.path_for("fetcher:detail", batch_id=batch.id)
            await notify(db, batch.owner_id, words, "success", here)


async def _portions(results: AsyncGenerator[Fetched, None]) -> AsyncGenerator[list[Fetched], None]:
    """The results, so many or so long together: what has come is handed out however long the next one takes."""
    fresh, much, room = list[Fetched](), asyncio.Event(), asyncio.Event()

    async def gather() -> None:
        async for fetched in results:
            fresh.append(fetched)
            if len(fresh) >= RECORD_ROWS:
                room.clear()
                much.set()
                await room.wait()

    gathering = asyncio.create_task(gather())
    gathering.add_done_callback(lambda _: much.set())
    try:
        while fresh or not gathering.done():
            with suppress(TimeoutError):
                await asyncio.wait_for(much.wait(), RECORD_SECONDS)
            much.clear()
            portion, fresh[:] = fresh[:], []
            if portion:
                yield portion
            room.set()
        await gathering
    finally:
        gathering.cancel()
        await asyncio.gather(gathering, return_exceptions=True)


@cron(minute=set(range(0, 60, 5)), unique=True)
async def tidy(running: Running) -> None:
    """Stop the batches that nobody works on, and forget old counts."""
    async with running.unit_of_work() as db:
        await services.close_stranded(db)
        await quotas.forget(db, running.runtime)
