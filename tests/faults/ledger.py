"""The ledger: visitors write down what was acknowledged; afterwards the database must hold each of it exactly once."""

import asyncio
import contextlib
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple
from uuid import uuid4

import httpx2

VISITORS = 20
PAUSE = 0.3
PATIENCE = 30.0  # seconds after which a visitor gives up
Ask = Callable[[httpx2.AsyncClient, str], Awaitable[httpx2.Response]]


class Visit(NamedTuple):
    """One request: its key, when it was sent and answered (perf_counter), and the status or how it broke."""

    key: str
    sent: float
    ended: float
    answer: int | str
    retry_after: str

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.sent


class Visits:
    """What visitors have seen."""

    def __init__(self) -> None:
        self.all: list[Visit] = []

    @property
    def seconds(self) -> list[float]:
        """How long each request took."""
        return [each.seconds for each in self.all]

    @property
    def answers(self) -> Counter[int | str]:
        """How often which status came, or which break."""
        return Counter(each.answer for each in self.all)

    @property
    def accepted(self) -> list[str]:
        """The keys that were acknowledged."""
        return [each.key for each in self.all if each.answer in (200, 201, 202)]

    @property
    def broken(self) -> list[Visit]:
        """Those that got no answer."""
        return [each for each in self.all if isinstance(each.answer, str)]

    @property
    def p99(self) -> float:
        """The slowest but one percent, in seconds."""
        return statistics.quantiles(self.seconds, n=100)[98]

    @property
    def told(self) -> str:
        """The answers as one line."""
        return ", ".join(f"{count} × {answer}" for answer, count in sorted(self.answers.items(), key=str)) or "none"

    def only(self, *answers: int | str) -> list[Visit]:
        """Those with one of these answers."""
        return [each for each in self.all if each.answer in answers]

    def between(self, start: float, end: float) -> "Visits":
        """Those that were sent then."""
        some = Visits()
        some.all = [each for each in self.all if start <= each.sent < end]
        return some

    def first_good(self, since: float) -> float:
        """Seconds from a moment until the first request that was sent after it succeeded."""
        good = [each.ended for each in self.all if each.sent >= since and each.answer in (200, 201, 202)]
        return min(good, default=float("inf")) - since


def posting(path: str, **params: str | float) -> Ask:
    """Ask by POST, with the key as a parameter."""
    return lambda client, key: client.post(path, params={"key": key, **params})


def getting(path: str, **params: str | float) -> Ask:
    """Ask by GET."""
    return lambda client, _: client.get(path, params=params)


@contextlib.asynccontextmanager
async def visitors(
    url: str,
    ask: Ask,
    *,
    count: int = VISITORS,
    pause: float = PAUSE,
    cookie: str = "",
    fresh: bool = False,
) -> AsyncIterator[Visits]:
    """While this is open so many visitors ask, each again after its answer and a pause; `fresh` connects each time."""
    visits, closing = Visits(), asyncio.Event()
    limits = httpx2.Limits(max_connections=count, max_keepalive_connections=0 if fresh else count)
    headers = {"Cookie": cookie} if cookie else {}
    async with (
        httpx2.AsyncClient(
            base_url=url, timeout=PATIENCE, limits=limits, headers=headers, trust_env=False, verify=False
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(count):
            group.create_task(_visit(client, ask, visits, closing, pause))
        try:
            yield visits
        finally:
            closing.set()


async def _visit(client: httpx2.AsyncClient, ask: Ask, visits: Visits, closing: asyncio.Event, pause: float) -> None:
    while not closing.is_set():
        visits.all.append(await visit(client, ask))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await closing.wait()


async def visit(client: httpx2.AsyncClient, ask: Ask) -> Visit:
    """Ask once."""
    key, sent, wait = uuid4().hex, time.perf_counter(), ""
    try:
        response = await ask(client, key)
        answer: int | str = response.status_code
        wait = response.headers.get("retry-after", "")
    except httpx2.TransportError as error:
        answer = type(error).__name__
    return Visit(key, sent, time.perf_counter(), answer, wait)
