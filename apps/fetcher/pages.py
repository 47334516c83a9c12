"""The HTML voice, under /fetcher."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from apps.accounts import CurrentUser
from apps.fetcher import results, services
from apps.fetcher.conf import Conf
from apps.fetcher.following import exported
from apps.fetcher.models import ENDED
from apps.fetcher.outcomes import Outcome
from apps.fetcher.schemas import BatchCreate, BatchId, SearchResults, Sort, WantedBatches
from project.core import DB, CurrentRuntime, Form, PageNumber, Submitted, on_invalid, redirect, render
from project.core.web.downloads import Format

MANY = 50  # results at once
LATEST = 5
router = APIRouter()
Chosen = Annotated[str, Query(max_length=20, description="One of the choices; empty for all.")]


@router.get("", name="fetcher:home")
async def home() -> Response:
    """The short address."""
    return redirect("fetcher:list")


@router.get("/batches", name="fetcher:list")
async def list_batches(
    request: Request, db: DB, user: CurrentUser, wanted: WantedBatches, page: PageNumber = 1
) -> Response:
    """The newest batches first."""
    batches = await services.list_batches(db, user, wanted.page(page))
    return render(request, "fetcher/batch_list.html", {"batches": batches, "wanted": wanted}, block="rows")


@router.get("/batches/new", name="fetcher:new")
async def new_batch(request: Request, user: CurrentUser) -> Response:
    """The form."""
    return render(request, "fetcher/batch_form.html", {"form": Form(BatchCreate)})


@router.post("/batches/new")
@on_invalid("fetcher/batch_form.html")
async def create_batch(data: Submitted[BatchCreate], db: DB, user: CurrentUser, conf: Conf) -> Response:
    """Have the URLs fetched."""
    batch = await services.create_batch(db, user, data, conf)
    return redirect("fetcher:detail", batch_id=batch.id, flash="Fetching has started.")


@router.get("/batches/{batch_id}", name="fetcher:detail")
async def show_batch(
    request: Request,
    batch_id: BatchId,
    db: DB,
    user: CurrentUser,
    q: SearchResults = "",
    outcome: Chosen = "",
    sort: Chosen = "",
    page: PageNumber = 1,
) -> Response:
    """How far it is, and its results: a page of them for whoever scrolls on."""
    batch = await services.get_batch(db, user, batch_id)
    ended = batch.status in ENDED
    chosen = Outcome(outcome) if outcome in [*Outcome] else None
    order = Sort(sort) if sort in [*Sort] else Sort.NUMBER if ended else Sort.ARRIVAL
    found = await results.list_results(
        db, user, batch_id, q=q, outcome=chosen, sort=order, limit=MANY, offset=MANY * (page - 1)
    )
    shown = {"batch": batch, "latest": [] if ended else await results.latest(db, batch_id, LATEST), "results": found}
    chosen_by = {"q": q, "outcome": chosen, "sort": order, "address": request.url}
    return render(request, "fetcher/batch_detail.html", shown | chosen_by, block="rows" if page > 1 else "results")


@router.post("/batches/{batch_id}/cancel", name="fetcher:cancel")
async def cancel_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> Response:
    """Stop it."""
    await services.cancel_batch(db, user, batch_id)
    return redirect("fetcher:detail", batch_id=batch_id, flash="Stopped.")


@router.post("/batches/{batch_id}/retry", name="fetcher:retry")
async def retry_batch(batch_id: BatchId, db: DB, user: CurrentUser, conf: Conf) -> Response:
    """Fetch once more what has no good result."""
    await services.retry_batch(db, user, batch_id, conf)
    return redirect("fetcher:detail", batch_id=batch_id, flash="Fetching has started again.")


@router.get("/batches/{batch_id}/delete", name="fetcher:delete")
async def ask_to_delete(request: Request, batch_id: BatchId, db: DB, user: CurrentUser) -> Response:
    """Ask before it is gone."""
    batch = await services.get_batch(db, user, batch_id)
    return render(request, "fetcher/batch_delete.html", {"row": batch, "back": request.url_for("fetcher:list")})


@router.post("/batches/{batch_id}/delete")
async def delete_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> Response:
    """Delete it with its results."""
    await services.delete_batch(db, user, batch_id)
    return redirect("fetcher:list", flash="The batch is deleted.")


@router.get("/batches/{batch_id}/export", name="fetcher:export")
async def export(
    batch_id: BatchId,
    user: CurrentUser,
    runtime: CurrentRuntime,
    format: Format = Format.CSV,
    q: SearchResults = "",
    outcome: Chosen = "",
) -> Response:
    """Download its results."""
    return await exported(runtime, user, batch_id, format, q, Outcome(outcome) if outcome in [*Outcome] else None)
