"""The JSON voice, under /api/v1/fetcher."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query, Request, Response, status
from starlette.responses import StreamingResponse

from apps.accounts import CurrentUser
from apps.fetcher import results, services
from apps.fetcher.client import Transport
from apps.fetcher.conf import Conf
from apps.fetcher.following import AS_FILE, exported, follow
from apps.fetcher.injected import ClientTransport, HttpClient
from apps.fetcher.schemas import (
    BatchCreate,
    BatchId,
    BatchRead,
    FetchRead,
    FetchResults,
    Search,
    SearchResults,
    Sort,
    SortResults,
    Urls,
    WithOutcome,
    WithStatus,
)
from project.core import DB, CurrentRuntime, Limit, Offset, Page
from project.core.live.streams import AS_EVENTS
from project.core.web.deps import CurrentLimiter
from project.core.web.downloads import Format

WAIT_SECONDS = 25  # that somebody waits for an answer


async def within_rate(user: CurrentUser, limiter: CurrentLimiter, conf: Conf) -> None:
    """Raises TooMany when this person has had enough fetched for now."""
    await limiter.hit("fetcher.fetch", str(user.id), conf.RATE)


router = APIRouter()


@router.get("/fetch", dependencies=[Depends(within_rate)])
async def fetch(urls: Urls, user: CurrentUser, runtime: CurrentRuntime, conf: Conf) -> FetchResults:
    """Fetch a few URLs while you wait."""
    limits, transport = conf.limits(WAIT_SECONDS), runtime.find(Transport)
    found = await services.fetch_now(runtime, user, urls, limits, transport)
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])


@router.get("/multi-fetch", dependencies=[Depends(within_rate)])
async def multi_fetch(
    urls: Urls, user: CurrentUser, runtime: CurrentRuntime, conf: Conf, client: HttpClient
) -> FetchResults:
    """Fetch a few URLs while you wait, through a client that belongs to this request."""
    limits, transport = conf.limits(WAIT_SECONDS), ClientTransport(client)
    found = await services.fetch_now(runtime, user, urls, limits, transport)
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])


@router.post("/batches", status_code=status.HTTP_201_CREATED)
async def create_batch(
    data: Annotated[BatchCreate, Body(description="The URLs.")],
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    conf: Conf,
) -> BatchRead:
    """Have many URLs fetched in the background."""
    batch = await services.create_batch(db, user, data, conf)
    response.headers["Location"] = str(request.app.url_path_for("get_batch", batch_id=batch.id))
    return BatchRead.model_validate(batch)


@router.get("/batches")
async def list_batches(
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    q: Search = "",
    status: WithStatus = None,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[BatchRead]:
    """List your batches, the newest first."""
    found = await services.list_batches(db, user, q=q, status=status, limit=limit, offset=offset)
    return Page[BatchRead].of(found, BatchRead.model_validate, request, response)


@router.get("/batches/{batch_id}")
async def get_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> BatchRead:
    """Show how far a batch of yours is."""
    return BatchRead.model_validate(await services.get_batch(db, user, batch_id))


@router.delete("/batches/{batch_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> None:
    """Delete a batch of yours with its results; one that is under way is stopped."""
    await services.delete_batch(db, user, batch_id)


@router.get("/batches/{batch_id}/results")
async def list_results(
    batch_id: BatchId,
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    q: SearchResults = "",
    outcome: WithOutcome = None,
    sort: SortResults = Sort.NUMBER,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[FetchRead]:
    """List the results that a batch of yours has by now."""
    found = await results.list_results(db, user, batch_id, q=q, outcome=outcome, sort=sort, limit=limit, offset=offset)
    return Page[FetchRead].of(found, FetchRead.model_validate, request, response)


@router.get("/batches/{batch_id}/events", response_class=StreamingResponse, responses=AS_EVENTS)
async def events(batch_id: BatchId, request: Request, user: CurrentUser, runtime: CurrentRuntime) -> Response:
    """Follow a batch of yours: a `result` for each URL as it comes, `batch` whenever its counts change, then `end`.

    Come back with `Last-Event-ID`, and you get the results that you have missed.
    """
    return await follow(request, runtime, user, batch_id)


@router.get("/batches/{batch_id}/export", response_class=StreamingResponse, responses=AS_FILE)
async def export(
    batch_id: BatchId,
    user: CurrentUser,
    runtime: CurrentRuntime,
    format: Annotated[Format, Query(description="csv, json, or jsonl: a JSON object on each line.")] = Format.CSV,
    q: SearchResults = "",
    outcome: WithOutcome = None,
) -> Response:
    """Download the results that a batch of yours has by now."""
    return await exported(runtime, user, batch_id, format, q, outcome)


@router.post("/batches/{batch_id}/cancel")
async def cancel_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> BatchRead:
    """Stop a batch of yours; the results that it has stay."""
    return BatchRead.model_validate(await services.cancel_batch(db, user, batch_id))


@router.post("/batches/{batch_id}/retry")
async def retry_batch(batch_id: BatchId, db: DB, user: CurrentUser, conf: Conf) -> BatchRead:
    """Fetch once more what was refused or failed in a batch of yours, and what it had not come to when it stopped."""
    return BatchRead.model_validate(await services.retry_batch(db, user, batch_id, conf))
