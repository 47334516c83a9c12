"""Metrics in Prometheus' text format, for whoever sends METRICS_TOKEN; without one the address is not there."""

import secrets

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from project.core.errors import NotFound
from project.core.jobs.figures import job_figures
from project.core.web.deps import DB, CurrentRuntime

router = APIRouter()
FORMAT = "text/plain; version=0.0.4"


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request, runtime: CurrentRuntime, db: DB) -> PlainTextResponse:
    """How the jobs stand, the same numbers for every process; raises NotFound without the token."""
    token = runtime.settings.METRICS_TOKEN.get_secret_value()
    given = request.headers.get("authorization", "")
    if not token or not secrets.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise NotFound
    figures = await job_figures(db)
    gauges = {
        "queued": ("Jobs that wait, for a worker or for their time.", figures.queued),
        "running": ("Jobs that run.", figures.running),
        "oldest_seconds": ("How long the one that waits longest has been due.", figures.oldest_seconds),
        "dead_last_day": ("Jobs that failed for good in the last 24 hours.", figures.dead),
    }
    lines = []
    for name, (words, value) in gauges.items():
        name = f"uptempo_jobs_{name}"
        lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge", f"{name} {value}"]
    return PlainTextResponse("\n".join([*lines, ""]), media_type=FORMAT)
