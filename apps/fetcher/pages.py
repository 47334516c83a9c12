"""The HTML voice, under /fetcher."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from apps.accounts import CurrentUser
from apps.fetcher import services
from apps.fetcher.models import ENDED
from apps.fetcher.schemas import BatchCreate, BatchId, BatchRead, FetchRead
from project.core import (
    DB,
    AsyncSession,
    CurrentRuntime,
    Form,
    PageNumber,
    Principal,
    Submitted,
    on_invalid,
    redirect,
    render,
)
from project.core.jobs.table import CHANGED, topic
from project.core.live import Event, stream
from project.core.templating import render_block

SIZE = 20
router = APIRouter()


@router.get("", name="fetcher:home")
async def home() -> Response:
    """The short address."""
    return redirect("fetcher:list")


@router.get("/batches", name="fetcher:list")
async def list_batches(request: Request, db: DB, user: CurrentUser, page: PageNumber = 1) -> Response:
    """The newest batches first."""
    batches = await services.list_batches(db, user, limit=SIZE, offset=SIZE * (page - 1))
    return render(request, "fetcher/batch_list.html", {"batches": batches})


@router.get("/batches/new", name="fetcher:new")
async def new_batch(request: Request, user: CurrentUser) -> Response:
    """The form."""
    return render(request, "fetcher/batch_form.html", {"form": Form(BatchCreate)})


@router.post("/batches/new")
@on_invalid("fetcher/batch_form.html")
async def create_batch(data: Submitted[BatchCreate], db: DB, user: CurrentUser) -> Response:
    """Have the URLs fetched."""
    batch = await services.create_batch(db, user, data)
    return redirect("fetcher:detail", batch_id=batch.id, flash="Fetching has started.")


@router.get("/batches/{batch_id}", name="fetcher:detail")
async def show_batch(request: Request, batch_id: BatchId, db: DB, user: CurrentUser, page: PageNumber = 1) -> Response:
    """How far it is, and its results."""
    return render(request, "fetcher/batch_detail.html", await _shown(db, user, batch_id, page), block="progress")


@router.post("/batches/{batch_id}/cancel", name="fetcher:cancel")
async def cancel_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> Response:
    """Stop it."""
    await services.cancel_batch(db, user, batch_id)
    return redirect("fetcher:detail", batch_id=batch_id, flash="Stopped.")


@router.get("/batches/{batch_id}/events", name="fetcher:events")
async def events(
    request: Request, batch_id: BatchId, user: CurrentUser, runtime: CurrentRuntime, page: PageNumber = 1
) -> Response:
    """What changes on its page, again whenever the job has recorded results, until it ends."""

    async def read() -> dict[str, Any]:
        async with runtime.unit_of_work(write=False) as db:
            return await _shown(db, user, batch_id, page)

    async def snapshot() -> list[Event]:
        return [CHANGED]

    shown = await read()

    async def show(_: Event) -> str:
        nonlocal shown
        shown = await read()
        return render_block(request.app.state.templates, "fetcher/batch_detail.html", "progress", shown)

    return stream(
        request,
        runtime,
        topic(shown["job_id"]),
        snapshot=snapshot,
        render=show,
        until=lambda _: shown["batch"].status in ENDED,
    )


async def _shown(db: AsyncSession, user: Principal, batch_id: UUID, page: int) -> dict[str, Any]:
    """What the page of a batch shows, as snapshots: a stream goes on when the session has closed."""
    batch = await services.get_batch(db, user, batch_id)
    results = await services.list_results(db, user, batch_id, limit=SIZE, offset=SIZE * (page - 1))
    items = [FetchRead.model_validate(each) for each in results.items]
    return {"batch": BatchRead.model_validate(batch), "job_id": batch.job_id, "results": results, "items": items}
