"""What the fetcher does later: open, fetch, record, close."""

import asyncio
from contextlib import aclosing
from uuid import UUID

from apps.fetcher import services
from apps.fetcher.client import Fetched, Transport, fetch_all
from apps.fetcher.conf import FetcherSettings
from project.core import Running, job

BATCH_SECONDS = 3600.0
RECORD_SECONDS = 0.5  # between two writes
RECORD_ROWS = 500


@job(timeout=BATCH_SECONDS + 60)
async def run_batch(running: Running, batch_id: UUID) -> None:
    """Fetch what has no result yet; a batch that was interrupted goes on where it was."""
    async with running.step() as db:
        batch, waiting = await services.open_batch(db, batch_id)
        done, total = batch.done, batch.total
    limits = running.runtime.conf(FetcherSettings).limits(BATCH_SECONDS)
    loop, fresh = asyncio.get_running_loop(), list[Fetched]()
    recorded_at = loop.time()
    async with aclosing(fetch_all(waiting, limits, running.runtime.find(Transport))) as results:
        async for fetched in results:
            fresh.append(fetched)
            if len(fresh) >= RECORD_ROWS or loop.time() - recorded_at > RECORD_SECONDS:
                async with running.step() as db:
                    await services.record(db, batch_id, waiting, fresh)
                done, fresh, recorded_at = done + len(fresh), [], loop.time()
                await running.progress(done, total)
    await running.progress(total, total)
    async with running.unit_of_work() as db:
        await services.record(db, batch_id, waiting, fresh)
        await services.close_batch(db, batch_id)
