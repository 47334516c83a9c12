"""Metrics in Prometheus' text format, for whoever sends METRICS_TOKEN; without one the address is not there."""

import asyncio
import secrets
import shutil

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from project.core.errors import NotFound
from project.core.jobs.figures import job_figures
from project.core.metrics import Gauge, as_text, figures
from project.core.reporting import Report
from project.core.runtime import Runtime

router = APIRouter()
FORMAT = "text/plain; version=0.0.4"
PROBE_SECONDS = 2.0
DATABASE = Gauge("database_up", "Whether the database answers.", of_site=True)
QUEUED = Gauge("jobs_queued", "Jobs that wait, for a worker or for their time.", of_site=True)
RUNNING = Gauge("jobs_running", "Jobs that run.", of_site=True)
OLDEST = Gauge("jobs_oldest_seconds", "How long the one that waits longest has been due.", of_site=True)
DEAD = Gauge("jobs_dead_last_day", "Jobs that failed for good in the last 24 hours.", of_site=True)
AWAY = Gauge("jobs_worker_away", "Whether jobs have been due for a minute in a queue nobody works on.", of_site=True)
DISK = Gauge("disk_free_ratio", "How much of the disk of DATA_DIR is free.", of_site=True)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> PlainTextResponse:
    """Every process's metrics, and how the site stands, also while the database is away; NotFound without the token."""
    runtime: Runtime = request.app.state.runtime
    token = runtime.settings.METRICS_TOKEN.get_secret_value()
    given = request.headers.get("authorization", "")
    if not token or not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise NotFound
    report: Report = request.app.state.report
    _, found = await asyncio.gather(_look(runtime), report.all())
    return PlainTextResponse(as_text(figures(), *found), media_type=FORMAT)


async def _look(runtime: Runtime) -> None:
    disk = await asyncio.to_thread(shutil.disk_usage, runtime.settings.DATA_DIR)
    DISK.set(round(disk.free / disk.total, 4))
    try:
        async with asyncio.timeout(PROBE_SECONDS), runtime.unit_of_work(write=False) as db:
            found = await job_figures(db)
    except Exception:
        DATABASE.set(0)
        for each in (QUEUED, RUNNING, OLDEST, DEAD, AWAY):
            each.series.clear()
        return
    DATABASE.set(1)
    QUEUED.set(found.queued)
    RUNNING.set(found.running)
    OLDEST.set(found.oldest_seconds)
    DEAD.set(found.dead)
    AWAY.set(int(found.away))
