"""Health: live says the process answers, ready says it can do its work."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import text

from project.core.db.migrations import pending
from project.core.jobs.figures import job_figures
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.deps import CurrentRuntime

router = APIRouter()
log = get_logger(__name__)
PROBE_SECONDS = 2.0
State = Literal["ok", "away", "pending", "stopping"]
NEEDED = {"process", "database", "migrations"}  # without a worker or Redis a request is answered all the same


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field(description="Always ok; no answer at all means not live.")


class Ready(BaseModel):
    """Whether the process can do its work, part by part."""

    status: Literal["ok", "degraded", "unavailable"] = Field(description="ok when every part is.")
    parts: dict[str, State] = Field(description="The state of each part.")


@router.get("/health/live", include_in_schema=False)
async def live() -> Live:
    """Answer without touching anything."""
    return Live(status="ok")


@router.get("/health/ready", include_in_schema=False)
async def ready(runtime: CurrentRuntime, response: Response) -> Ready:
    """Look at the process, the database, its migrations and the worker; 503 while one of the first three is not ready.

    A worker or Redis that is away makes it "degraded" with 200: this process can do its own work.
    """
    parts = await parts_of(runtime)
    bad = {name for name, state in parts.items() if state != "ok"}
    response.status_code = 503 if bad & NEEDED else 200
    return Ready(status="unavailable" if bad & NEEDED else "degraded" if bad else "ok", parts=parts)


async def parts_of(runtime: Runtime) -> dict[str, State]:
    """The state of each part, within two seconds; of a process that stops nothing else is asked."""
    if runtime.closing.is_set():
        return {"process": "stopping"}
    parts, carried = await asyncio.gather(_database(runtime), runtime.bus.answers())
    redis: dict[str, State] = {"redis": "ok" if carried else "away"}
    return parts | (redis if runtime.settings.REDIS_URL.get_secret_value() else {})


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
