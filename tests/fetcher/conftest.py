"""Servers on loopback to fetch from, and the ways out to them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from yarl import URL

from apps.fetcher.client import Answer, Fetched, Limits, Transport, fetch
from apps.fetcher.guard import Guard
from apps.fetcher.injected import ClientTransport, guarded_client
from apps.fetcher.transport import AiohttpTransport
from project.core import Runtime

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Site:
    """A web server on loopback: `site.answers["/path"] = …` says what it answers, `site.seen` what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, Answering | web.Response] = {}
        self.seen: list[web.BaseRequest] = []
        self.netloc = ""

    def url(self, path: str = "/") -> str:
        """An address on it."""
        return f"http://{self.netloc}{path}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(request)
        answer = self.answers.get(request.path, web.Response(text="ok"))
        if isinstance(answer, web.Response):
            return web.Response(body=answer.body, status=answer.status, headers=answer.headers)
        return await answer(request)

    @asynccontextmanager
    async def served(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator["Site"]:
        """Serve while this is open."""
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        self.netloc = "{}:{}".format(*self._runner.addresses[0][:2])
        yield self
        await self.close()

    async def close(self) -> None:
        """Hang up, and listen no more."""
        await self._runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    """A server that may be fetched from."""
    async with Site().served() as site:
        yield site


@pytest.fixture
async def canary() -> AsyncIterator[Site]:
    """A server that must never be asked, although its port is open."""
    async with Site().served() as site:
        yield site


@pytest.fixture
def guard(site: Site, canary: Site) -> Guard:
    """What may be dialled: the one server, and every port in use here of public addresses."""
    return Guard([80, 443, port(site), port(canary)], [site.netloc])


def port(site: Site) -> int:
    """Where it listens."""
    return URL(site.url()).port or 0


@pytest.fixture(params=["aiohttp", "httpx2"])
async def transport(request: pytest.FixtureRequest, guard: Guard) -> AsyncIterator[Transport]:
    """Each way out."""
    if request.param == "aiohttp":
        async with AiohttpTransport(guard, concurrency=100, per_host=100) as transport:
            yield transport
    else:
        async with guarded_client(guard, connections=100) as client:
            yield ClientTransport(client)


Fetch = Callable[..., Awaitable[Fetched]]


@pytest.fixture
def get(transport: Transport) -> Fetch:
    """Fetch one URL, once, with small limits: `await get(url, max_bytes=10)`."""

    async def fetch_one(url: str, **limits: float) -> Fetched:
        usual = {"url_seconds": 5, "retries": 0, "max_bytes": 100_000}
        return await fetch(url, Limits(**(usual | limits)), transport)  # type: ignore[arg-type]

    return fetch_one


class Script(Transport):
    """A way out that asks nobody: `answers` says what comes, `gate` lets it through; `peaks` are the most at once."""

    def __init__(self, **answers: int | Exception | dict[str, str]) -> None:
        self.answers = answers
        self.gate = asyncio.Event()
        self.asked: list[str] = []
        self.busy: dict[str, int] = {}
        self.peaks: dict[str, int] = {}

    @asynccontextmanager
    async def get(self, url: URL) -> AsyncIterator[Answer]:
        self.asked.append(str(url))
        for host in ("all", url.host or ""):
            self.busy[host] = self.busy.get(host, 0) + 1
            self.peaks[host] = max(self.peaks.get(host, 0), self.busy[host])
        try:
            await self.gate.wait()
            answer = self.answers.get(url.host or "", 200)
            if isinstance(answer, Exception):
                raise answer
            status, headers = (302, answer) if isinstance(answer, dict) else (answer, {})
            yield Answer(status, headers, self._nothing())
        finally:
            for host in ("all", url.host or ""):
                self.busy[host] -= 1

    async def _nothing(self) -> AsyncIterator[bytes]:
        for chunk in (b"",):
            yield chunk


@pytest.fixture
def script() -> Script:
    """Everything answers 200 at once."""
    script = Script()
    script.gate.set()
    return script


@pytest.fixture
def scripted(runtime: Runtime, script: Script) -> Iterator[Script]:
    """The app's way out asks nobody."""
    usual = runtime.find(Transport)
    runtime.provide(Transport, script)
    yield script
    runtime.provide(Transport, usual)
