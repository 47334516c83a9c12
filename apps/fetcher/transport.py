"""The way out: aiohttp, with the guard at every door it has. Loaded when a site starts, for aiohttp takes a while."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from apps.fetcher.body import ACCEPTED
from apps.fetcher.client import Answer, Transport
from apps.fetcher.guard import Blocked, Guard
from apps.fetcher.outcomes import Failure, FetchError
from project.core.tracing import outgoing

CONNECT_SECONDS = 5
READ_SECONDS = 10  # without a byte
HEADERS = {"Accept": "*/*", "Accept-Encoding": ACCEPTED, "User-Agent": "Mozilla/5.0 (compatible; Uptempo fetcher)"}


class AiohttpTransport(Transport):
    """Pooled connections, open for as long as the block: `async with AiohttpTransport(…) as transport:`."""

    def __init__(self, guard: Guard, concurrency: int, per_host: int) -> None:
        self._guard = guard
        self._all, self._per_host = asyncio.Semaphore(concurrency), per_host
        self._of_host = WeakValueDictionary[str, asyncio.Semaphore]()  # of those that are asked just now
        # aiohttp does not ask the resolver about hosts that look like addresses; the socket factory sees them all.
        connector = aiohttp.TCPConnector(
            resolver=_GuardedResolver(guard), socket_factory=guard.socket, limit=concurrency, limit_per_host=per_host
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """See Transport. The connector has limits too, but lets whoever has just been served in again."""
        async with self._of_host.setdefault(host, asyncio.Semaphore(self._per_host)), self._all:
            yield

    @asynccontextmanager
    async def get(self, url: URL) -> AsyncIterator[Answer]:
        """See Transport."""
        try:
            self._guard.admit(url)
            with outgoing("GET", url.host or "") as headers:
                async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                    yield Answer(response.status, response.headers, response.content.iter_any())
        except aiohttp.ClientSSLError:
            raise FetchError(Failure.TLS) from None
        except (Blocked, aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            raise FetchError(Failure.BLOCKED) from None
        except aiohttp.SocketTimeoutError:
            raise FetchError(Failure.TIMEOUT) from None
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            raise FetchError(Failure.DISCONNECTED) from None
        except aiohttp.ClientError:
            raise FetchError(Failure.BAD_RESPONSE) from None


class _GuardedResolver(AbstractResolver):
    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address[0], port=port, family=kind, proto=protocol, flags=0)
            for kind, _, protocol, _, address in await self._guard.resolve(host, port, family)
        ]

    async def close(self) -> None:
        pass
