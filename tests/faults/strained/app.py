"""An app that the fault scripts lean on: an entry of two rows and a job, slow answers, an event loop that is held."""

import asyncio
import os
import time
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Query

from apps.accounts import CurrentUser
from project.core import DB, AppConfig, enqueue
from tests.core.probe.models import Note, State

api = APIRouter()


@api.post("/entries", status_code=201)
async def enter(key: str, db: DB, user: CurrentUser, size: Annotated[int, Query(le=100_000)] = 0) -> dict[str, str]:
    """Write two rows and a job in one unit of work; a database that holds one of the rows alone is broken."""
    body = key + os.urandom(size // 2).hex()
    db.add(Note(body=body, state=State.DRAFT))
    await db.flush()
    db.add(Note(body=body, state=State.LIVE))
    await enqueue(db, "probe.mark", key=key)
    return {"key": key, "by": user.email}


@api.get("/entries")
async def count(db: DB, user: CurrentUser) -> dict[str, int]:
    """How many rows there are, for whoever is signed in."""
    return {"rows": (await db.execute(sa.select(sa.func.count()).select_from(Note))).scalar_one()}


@api.get("/slow")
async def slow(db: DB, seconds: float) -> None:
    """Keep a connection to the database busy."""
    await db.execute(sa.select(sa.func.pg_sleep(seconds)))


@api.get("/long")
async def long(seconds: float) -> dict[str, int]:
    """Take long, and nothing else."""
    await asyncio.sleep(seconds)
    return {"pid": os.getpid()}


@api.get("/block")
async def block(seconds: float) -> dict[str, int]:
    """Hold the event loop, which no handler should."""
    time.sleep(seconds)  # noqa: ASYNC251
    return {"pid": os.getpid()}


config = AppConfig(label="strained", title="Strained", api=api)
