"""What the fetcher adds to the site."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from apps.fetcher import api, commands, jobs, pages, quotas, seeding
from apps.fetcher.admin import BatchAdmin, FetchAdmin
from apps.fetcher.client import Transport
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.models import Batch, Fetch, Usage
from project.core import AppConfig, MenuItem, Runtime


@asynccontextmanager
async def lifespan(runtime: Runtime) -> AsyncIterator[None]:
    """Hang the way out on the runtime, for as long as it is open."""
    from apps.fetcher.transport import AiohttpTransport

    conf = runtime.conf(FetcherSettings)
    async with AiohttpTransport(conf.guard, conf.CONCURRENCY, conf.PER_HOST) as transport:
        runtime.provide(Transport, transport)
        yield


config = AppConfig(
    label="fetcher",
    title="Fetcher",
    api=api.router,
    pages=pages.router,
    models=[Batch, Fetch, Usage],
    admin=[BatchAdmin, FetchAdmin],
    jobs=[jobs.run_batch],
    cron=[jobs.tidy],
    cleanup=quotas.forget,
    seed=seeding.seed,
    commands=[commands.fetch],
    settings=FetcherSettings,
    lifespan=lifespan,
    menu=[MenuItem("Fetcher", "fetcher:list")],
)
