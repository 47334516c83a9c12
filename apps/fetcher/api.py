"""The JSON voice, under /api/v1/fetcher."""

from fastapi import APIRouter, Depends

from apps.accounts import CurrentUser
from apps.fetcher import services
from apps.fetcher.client import Transport
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.injected import ClientTransport, HttpClient
from apps.fetcher.schemas import FetchRead, FetchResults, Urls
from project.core import CurrentRuntime
from project.core.web.deps import CurrentLimiter

WAIT_SECONDS = 25  # that somebody waits for an answer


async def within_rate(user: CurrentUser, limiter: CurrentLimiter, runtime: CurrentRuntime) -> None:
    """Raises TooMany when this person has had enough fetched for now."""
    await limiter.hit("fetcher.fetch", str(user.id), runtime.conf(FetcherSettings).RATE)


router = APIRouter(dependencies=[Depends(within_rate)])


@router.get("/fetch")
async def fetch(urls: Urls, runtime: CurrentRuntime) -> FetchResults:
    """Fetch a few URLs while you wait."""
    limits = runtime.conf(FetcherSettings).limits(WAIT_SECONDS)
    found = await services.fetch_now(urls, limits, runtime.find(Transport))
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])


@router.get("/multi-fetch")
async def multi_fetch(urls: Urls, runtime: CurrentRuntime, client: HttpClient) -> FetchResults:
    """Fetch a few URLs while you wait, through a client that belongs to this request."""
    limits = runtime.conf(FetcherSettings).limits(WAIT_SECONDS)
    found = await services.fetch_now(urls, limits, ClientTransport(client))
    return FetchResults(results=[FetchRead.model_validate(each) for each in found])
