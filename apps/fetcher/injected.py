"""Dependency injection, by example: a request asks for an httpx2 client, gets a guarded one, and it is closed."""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Annotated, Any

import httpcore2
import httpx2
from fastapi import Depends
from yarl import URL

from apps.fetcher.body import ACCEPTED
from apps.fetcher.client import Answer, Transport
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.guard import Guard
from apps.fetcher.outcomes import Failure, FetchError
from project.core import CurrentRuntime

TIMEOUT = httpx2.Timeout(10, connect=5)


class _GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Dials the address that was checked, for httpcore2 resolves nothing itself."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._dial = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        *_, address = (await self._guard.resolve(host, port))[0]
        return await self._dial.connect_tcp(address[0], port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await self._dial.sleep(seconds)


class _GuardedTransport(httpx2.AsyncHTTPTransport):
    def __init__(self, guard: Guard, connections: int) -> None:
        super().__init__(verify=_tls(), trust_env=False)
        self._guard = guard
        # The only way in: the transport takes no network backend, the pool it is made of does.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=_tls(), max_connections=connections, network_backend=_GuardedBackend(guard)
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._guard.admit(URL(str(request.url)))
        return await super().handle_async_request(request)


@cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes a while: once is enough."""
    return ssl.create_default_context()


def guarded_client(guard: Guard, connections: int) -> httpx2.AsyncClient:
    """A client with the guard's rules, without proxies and cookies."""
    return httpx2.AsyncClient(
        transport=_GuardedTransport(guard, connections),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        headers={"Accept-Encoding": ACCEPTED},
        timeout=TIMEOUT,
        trust_env=False,
    )


async def http_client(runtime: CurrentRuntime) -> AsyncIterator[httpx2.AsyncClient]:
    """A client for this request, closed when the request is over."""
    conf = runtime.conf(FetcherSettings)
    async with guarded_client(conf.guard, conf.CONCURRENCY) as client:
        yield client


HttpClient = Annotated[httpx2.AsyncClient, Depends(http_client)]


class ClientTransport(Transport):
    """The engine's way out through such a client."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @asynccontextmanager
    async def get(self, url: URL) -> AsyncIterator[Answer]:
        """See Transport."""
        response = None
        try:
            async with self._client.stream("GET", str(url)) as response:
                yield Answer(response.status_code, response.headers, response.aiter_raw())
        except (OSError, httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.InvalidURL):
            raise FetchError(Failure.BLOCKED) from None
        except httpx2.TimeoutException:
            raise FetchError(Failure.TIMEOUT) from None
        except httpx2.NetworkError:
            raise FetchError(Failure.DISCONNECTED) from None
        except httpx2.HTTPError:
            raise FetchError(Failure.DISCONNECTED if response else Failure.BAD_RESPONSE) from None
