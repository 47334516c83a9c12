"""Health: live says the process answers, ready says it can do its work."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field
from sqlalchemy import text

from project.core.db.migrations import pending
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.deps import CurrentRuntime

router = APIRouter()
log = get_logger(__name__)
PROBE_SECONDS = 2.0


class Live(BaseModel):
    """The process answers."""

    status: Literal["ok"] = Field(description="Always ok; no answer at all means not live.")


class Ready(BaseModel):
    """Whether the process can do its work, part by part."""

    status: Literal["ok", "unavailable"] = Field(description="ok when every part is.")
    parts: dict[str, Literal["ok", "away", "pending"]] = Field(description="The state of each part.")


@router.get("/health/live", include_in_schema=False)
async def live() -> Live:
    """Answer without touching anything."""
    return Live(status="ok")


@router.get("/health/ready", include_in_schema=False)
async def ready(runtime: CurrentRuntime, response: Response) -> Ready:
    """Look at the database and its migrations; 503 while one of them is not ready."""
    parts = await parts_of(runtime)
    good = all(state == "ok" for state in parts.values())
    response.status_code = 200 if good else 503
    return Ready(status="ok" if good else "unavailable", parts=parts)


async def parts_of(runtime: Runtime) -> dict[str, Literal["ok", "away", "pending"]]:
    """The state of each part, within two seconds."""
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            async with runtime.unit_of_work(write=False) as db:
                await (await db.connection()).execute(text("SELECT 1"))
                waiting = await (await db.connection()).run_sync(pending)
    except Exception as error:
        log.warning("not ready", error=type(error).__name__)
        return {"database": "away"}
    return {"database": "ok", "migrations": "pending" if waiting else "ok"}
