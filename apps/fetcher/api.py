"""The JSON voice, under /api/v1/fetcher."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response, status

from apps.accounts import CurrentUser
from apps.fetcher import services
from apps.fetcher.client import Transport
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.injected import ClientTransport, HttpClient
from apps.fetcher.schemas import BatchCreate, BatchId, BatchRead, FetchRead, FetchResults, Urls
from project.core import DB, CurrentRuntime, Limit, Offset, Page
from project.core.web.deps import CurrentLimiter

WAIT_SECONDS = 25  # that somebody waits for an answer


async def within_rate(user: CurrentUser, limiter: CurrentLimiter, runtime: CurrentRuntime) -> None:
    """Raises TooMany when this person has had enough fetched for now."""
    await limiter.hit("fetcher.fetch", str(user.id), runtime.conf(FetcherSettings).RATE)


router = APIRouter()


@router.get("/fetch", dependencies=[Depends(within_rate)])
async def fetch(urls: Urls, runtime: CurrentRuntime) -> FetchResults:
    """Fetch a few URLs while you wait."""
    limits = runtime.conf(FetcherSettings).limits(WAIT_SECONDS)
    found = await services.fetch_now(urls, limits, runtime.find(Transport))
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])


@router.get("/multi-fetch", dependencies=[Depends(within_rate)])
async def multi_fetch(urls: Urls, runtime: CurrentRuntime, client: HttpClient) -> FetchResults:
    """Fetch a few URLs while you wait, through a client that belongs to this request."""
    limits = runtime.conf(FetcherSettings).limits(WAIT_SECONDS)
    found = await services.fetch_now(urls, limits, ClientTransport(client))
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])


@router.post("/batches", status_code=status.HTTP_201_CREATED)
async def create_batch(
    data: Annotated[BatchCreate, Body(description="The URLs.")],
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
) -> BatchRead:
    """Have many URLs fetched in the background."""
    batch = await services.create_batch(db, user, data)
    response.headers["Location"] = str(request.app.url_path_for("get_batch", batch_id=batch.id))
    return BatchRead.model_validate(batch)


@router.get("/batches")
async def list_batches(
    request: Request, response: Response, db: DB, user: CurrentUser, limit: Limit = 10, offset: Offset = 0
) -> Page[BatchRead]:
    """List your batches."""
    found = await services.list_batches(db, user, limit=limit, offset=offset)
    return Page[BatchRead].of(found, BatchRead.model_validate, request, response)


@router.get("/batches/{batch_id}")
async def get_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> BatchRead:
    """Show how far a batch of yours is."""
    return BatchRead.model_validate(await services.get_batch(db, user, batch_id))


@router.get("/batches/{batch_id}/results")
async def list_results(
    batch_id: BatchId,
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[FetchRead]:
    """List the results that a batch of yours has by now."""
    found = await services.list_results(db, user, batch_id, limit=limit, offset=offset)
    return Page[FetchRead].of(found, FetchRead.model_validate, request, response)


@router.post("/batches/{batch_id}/cancel")
async def cancel_batch(batch_id: BatchId, db: DB, user: CurrentUser) -> BatchRead:
    """Stop a batch of yours; the results that it has stay."""
    return BatchRead.model_validate(await services.cancel_batch(db, user, batch_id))
