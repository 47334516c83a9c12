"""The worker: runs jobs beside the web processes, for sites with Redis."""

import asyncio
from contextlib import suppress

import click

from project.core.management import Site


@click.command(epilog="Example: manage.py worker --queues default,mail --concurrency 50")
@click.option("--queues", default="", help="Only these, separated by commas; all otherwise.")
@click.option("--concurrency", type=click.IntRange(1, 1000), help="Jobs at once; WORKER_CONCURRENCY otherwise.")
@click.pass_obj
def worker(site: Site, queues: str, concurrency: int | None) -> None:
    """Run jobs beside the web processes, for sites with Redis.

    Ctrl-C and SIGTERM give what runs WORKER_GRACE seconds to end; the rest goes back to the queue.
    """
    from project.core.worker import worker_settings

    names = [name.strip() for name in queues.split(",") if name.strip()]
    chosen = worker_settings(site.settings, queues=names, concurrency=concurrency)
    asyncio.run(_work(chosen))


async def _work(chosen: type) -> None:
    from arq.worker import create_worker

    worker = create_worker(chosen)
    try:
        with suppress(asyncio.CancelledError):
            await worker.async_run()
    finally:
        await worker.close()
