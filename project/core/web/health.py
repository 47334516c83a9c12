"""Health: live says the process answers, ready says it can do its work."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Response
from sqlalchemy import text

from project.core.db.migrations import pending
from project.core.jobs.doorbell import BEAT
from project.core.jobs.figures import job_figures
from project.core.live.pubsub import RedisBus
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.deps import CurrentRuntime

router = APIRouter()
log = get_logger(__name__)
PROBE_SECONDS = 2.0
MB = 1_000_000
State = Literal["ok", "away", "pending", "stopping", "full"]
NEEDED = {"process", "database", "migrations"}  # without the others most requests are answered all the same


@router.get("/health/live", include_in_schema=False)
async def live() -> dict[str, str]:
    """Answer without touching anything: no answer at all means not live."""
    return {"status": "ok"}


@router.get("/health/ready", include_in_schema=False)
async def ready(runtime: CurrentRuntime, response: Response) -> dict[str, Any]:
    """Look at the process, the database, its migrations, the worker, Redis and the disk.

    While one of the first three is not ready it is 503. The others make it "degraded" with 200: this process goes on
    to answer, on a full disk at least whoever reads, and another process would be no better off.
    """
    parts = await parts_of(runtime)
    bad = {name for name, state in parts.items() if state != "ok"}
    response.status_code = 503 if bad & NEEDED else 200
    return {"status": "unavailable" if bad & NEEDED else "degraded" if bad else "ok", "parts": parts}


async def parts_of(runtime: Runtime) -> dict[str, State]:
    """The state of each part, within two seconds; of a process that stops nothing else is asked."""
    if runtime.closing.is_set():
        return {"process": "stopping"}
    found = await asyncio.gather(_database(runtime), _redis(runtime), _disk(runtime))
    return {name: state for parts in found for name, state in parts.items()}


async def _redis(runtime: Runtime) -> dict[str, State]:
    """Redis; and the worker, if its heartbeat is missing: that it has too little to do tells nothing."""
    if not isinstance(runtime.bus, RedisBus):
        return {}
    beats = await runtime.bus.holds(BEAT)
    if beats is None:
        return {"redis": "away"}
    return {"redis": "ok"} if beats or not runtime.settings.WORKER_PROCESSES else {"redis": "ok", "worker": "away"}


async def _disk(runtime: Runtime) -> dict[str, State]:
    """The disks of DATA_DIR and of SQLite's file, whichever has less room."""
    database = runtime.database
    folders = {runtime.settings.DATA_DIR, *([Path(database.url.database or "").parent] if database.is_sqlite else [])}
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            free = [(await asyncio.to_thread(shutil.disk_usage, each)).free for each in folders]
    except OSError:  # also TimeoutError: a disk that hangs is no better than a full one
        return {"disk": "away"}
    return {"disk": "full" if min(free) < runtime.settings.DISK_FREE_MB * MB else "ok"}


async def _database(runtime: Runtime) -> dict[str, State]:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with runtime.unit_of_work(write=False) as db:
                await (await db.connection()).execute(text("SELECT 1"))
                if await (await db.connection()).run_sync(pending):
                    return {"database": "ok", "migrations": "pending"}
                away = (await job_figures(db)).away
    except Exception as error:
        log.warning("not ready", error=type(error).__name__)
        return {"database": "away"}
    return {"database": "ok", "migrations": "ok", "worker": "away" if away else "ok"}
