"""SIGTERM while sockets, a stream and a long request are open: each is told, and who comes again follows on.

Run by hand: .venv/bin/python -m tests.faults.stopping [sockets]. PostgreSQL and Redis are the script's own.
"""

import asyncio
import sys
import time
from contextlib import suppress
from signal import SIGTERM

import httpx2

from tests.faults.cluster import STRAINED, cluster
from tests.faults.crowd import API, PATH, Talker, Town, town
from tests.faults.lab import until
from tests.faults.ledger import getting, visitors
from tests.faults.processes import Served
from tests.faults.report import Report, run

SOCKETS = 200
EACH = 5  # sockets of one person; a process lets nobody have more than ten
RATE = 20  # messages posted in a second
DRAIN, GRACE = 2, 10
LONG_SECONDS = 4.0
GONE_AWAY = {1001, 1012}
SPREAD = 2.0  # seconds over which sockets are told at least, so that they do not all come again at once


class Poster:
    """Posts to the room again and again, also while nobody is there, and keeps the ids that were answered."""

    def __init__(self, one: Town) -> None:
        self.one, self.ids = one, list[int]()

    async def post(self, url: str) -> None:
        async with httpx2.AsyncClient(base_url=url, headers={"Cookie": self.one.people[0]}, timeout=30) as client:
            while True:
                with suppress(httpx2.TransportError):
                    answer = await client.post(f"{API}/messages", json={"body": "hello"})
                    if answer.status_code == 201:
                        self.ids.append(answer.json()["id"])
                await asyncio.sleep(1 / RATE)


async def stopped(report: Report) -> None:
    """SIGTERM to serve with many sockets in a room, a stream and a long request; then it is started again."""
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), SOCKETS)
    env = {"INSTALLED_APPS": f"{STRAINED},apps.realtime", "DRAIN_SECONDS": str(DRAIN)}
    async with cluster() as server, town(count // EACH + 1, 0, server=server.url, **env) as one:
        site = await one.site.serve("--grace", str(GRACE))
        talkers = [await one.join(each // EACH, site) for each in range(count)]
        poster = Poster(one)
        posting = asyncio.create_task(poster.post(site.url))
        await until(lambda: all(each.ids for each in talkers), 60)
        closed: list[float] = []
        for each in talkers:
            each.closed.add_done_callback(lambda _: closed.append(time.perf_counter() - began))
        stream = asyncio.create_task(_stream(site))
        async with visitors(site.url, getting("/api/v1/strained/long", seconds=LONG_SECONDS), count=1) as long:
            await asyncio.sleep(1)
            began = time.perf_counter()
            ending = asyncio.create_task(site.end(SIGTERM))
            ready = await _ready_while_draining(site)
            await until(lambda: bool(long.all), 30)
        code = await ending
        took = time.perf_counter() - began
        await until(lambda: len(closed) == count, 5)
        report.equal("/health/ready meanwhile", {503}, ready)
        report.equal("the long request", {200: 1}, dict(long.answers))
        report.equal("the stream was ended by the server", "yes", await stream)
        codes = {each.closed.result() for each in talkers}
        report.fits("codes of the sockets", "1001, 1012", str(codes), holds=codes <= GONE_AWAY)
        report.at_most("last socket closed", DRAIN + GRACE, max(closed))
        report.at_least("told over", SPREAD, max(closed) - min(closed), "s")
        report.equal("exit code", 0, code)
        report.at_most("it ended after", DRAIN + GRACE + 2, took)
        report.equal("tracebacks", {}, site.bugs)
        posting.cancel()
        await _demand_follow_on(report, one, talkers, poster)


async def _ready_while_draining(site: Served) -> set[int]:
    """What /health/ready answers to each new connection for a second, a moment after the signal."""
    await asyncio.sleep(DRAIN / 4)
    async with visitors(site.url, getting("/health/ready"), count=2, pause=0.1, fresh=True) as visits:
        await asyncio.sleep(DRAIN / 2)
    return {each.answer if isinstance(each.answer, int) else 0 for each in visits.all}


async def _stream(site: Served) -> str:
    """Follow a stream that never ends by itself; says whether it was brought to its proper end."""
    async with (
        httpx2.AsyncClient(base_url=site.url, timeout=60) as client,
        client.stream("GET", "/api/v1/probe/events") as answer,
    ):
        try:
            async for _ in answer.aiter_lines():
                pass
        except httpx2.TransportError as error:
            return type(error).__name__
    return "yes"


async def _demand_follow_on(report: Report, one: Town, talkers: list[Talker], poster: Poster) -> None:
    """Start it again; each socket goes on after the last message that it has heard."""
    site = await one.site.serve()
    posting = asyncio.create_task(poster.post(site.url))
    before = [each.ids[-1] for each in talkers]
    again = [await one.join(number // EACH, site, path=f"{PATH}?after={last}") for number, last in enumerate(before)]
    await asyncio.sleep(1)
    posting.cancel()
    latest = max(poster.ids)
    await until(lambda: all(each.ids and each.ids[-1] >= latest for each in again), 60)
    heard = [first.ids + second.ids for first, second in zip(talkers, again, strict=True)]
    said = set(poster.ids)
    report.note("messages acknowledged", len(said))
    report.equal("missing", 0, sum(len({each for each in said if each >= ids[0]} - set(ids)) for ids in heard))
    report.equal("doubled", 0, sum(len(ids) - len(set(ids)) for ids in heard))


if __name__ == "__main__":
    run(stopped)
