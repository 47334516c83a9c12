"""Jobs for those they belong to: how far one is, and a way to cancel it, as JSON and as a live part of a page."""

import re
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import Field, field_validator
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.session import AsyncSession
from project.core.identity import Principal
from project.core.jobs import State, cancel
from project.core.jobs.figures import ENDED
from project.core.jobs.queue import find
from project.core.jobs.table import CHANGED, topic
from project.core.live import Event, stream
from project.core.runtime import Runtime
from project.core.web.deps import DB, CurrentRuntime, SignedIn
from project.core.web.pages import render
from project.core.web.redirects import page_before, redirect
from project.core.web.schemas import ReadSchema

api = APIRouter()
pages = APIRouter()
JobId = Annotated[UUID, Path(description="The job's id.")]
# How running.describe begins, unless the job gave up in its own words.
EXCEPTION = re.compile(r"\w+( in .+, line \d+)?: ")
FAILED = "Something went wrong on our side. It has been written down."


class JobRead(ReadSchema):
    """A job as its owner sees it."""

    id: UUID = Field(description="The job's id.")
    name: str = Field(description="What it does, such as `blog.publish`.")
    state: State = Field(description="Where it stands; `dead` has failed for good.")
    cancel_asked: bool = Field(description="Whether it runs and will be cancelled within seconds.")
    done: int = Field(description="How much of `total` is done.")
    total: int = Field(description="How much there is to do; 0 when it does not say.")
    note: str = Field(description="What it is at.")
    result: Any = Field(description="What it gave.")
    error: str = Field(description="Why the last try failed, in words.")
    created_at: datetime = Field(description="When it was asked for.")
    started_at: datetime | None = Field(description="When the last try began.")
    finished_at: datetime | None = Field(description="When it ended.")

    @field_validator("error")
    @classmethod
    def _in_words(cls, error: str) -> str:
        return FAILED if EXCEPTION.match(error) else error


async def read_job(db: AsyncSession, user: Principal, job_id: UUID) -> JobRead:
    """The job as it stands; raises NotFound for somebody else's, unless they may see all."""
    return JobRead.model_validate(await find(db, job_id, owner=_whose(user, "core.job.view")))


def _whose(user: Principal, permission: str) -> UUID | None:
    return None if user.can(permission) else user.id


@api.get("/{job_id}", name="read")
async def show(job_id: JobId, user: SignedIn, db: DB) -> JobRead:
    """How far a job of yours is, and what became of it."""
    return await read_job(db, user, job_id)


@api.post("/{job_id}/cancel", name="cancel")
async def stop(job_id: JobId, user: SignedIn, db: DB) -> JobRead:
    """Cancel a job of yours: at once while it waits, within seconds while it runs. One that has ended stays so."""
    return JobRead.model_validate(await cancel(db, job_id, owner=_whose(user, "core.job.change")))


@pages.get("/{job_id}", name="jobs:progress")
async def progress(request: Request, job_id: JobId, user: SignedIn, db: DB) -> Response:
    """The page of one job; htmx gets the part that changes."""
    return render(request, "core/job.html", {"job": await read_job(db, user, job_id)}, block="job")


@pages.post("/{job_id}/cancel", name="jobs:cancel")
async def stop_here(request: Request, job_id: JobId, user: SignedIn, db: DB) -> Response:
    """Cancel it, and lead back to the page the button stood on."""
    await cancel(db, job_id, owner=_whose(user, "core.job.change"))
    return redirect(page_before(request, str(request.app.url_path_for("jobs:progress", job_id=job_id))))


@pages.get("/{job_id}/events", name="jobs:events")
async def events(request: Request, job_id: JobId, user: SignedIn, runtime: CurrentRuntime) -> Response:
    """What `ui.job` draws, again whenever the job has changed, until it ends."""
    job = await _read(runtime, user, job_id)

    async def snapshot() -> list[Event]:
        return [CHANGED]

    async def render(_: Event) -> str:
        nonlocal job
        job = await _read(runtime, user, job_id)
        return str(request.app.state.templates.globals["ui"].job(job))

    return stream(request, runtime, topic(job_id), snapshot=snapshot, render=render, until=lambda _: job.state in ENDED)


async def _read(runtime: Runtime, user: Principal, job_id: UUID) -> JobRead:
    async with runtime.unit_of_work(write=False) as db:
        return await read_job(db, user, job_id)
