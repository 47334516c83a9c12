"""Ten minutes of everything at 30 requests a second: pages, the API, log-ins, sockets, jobs, people who leave.

Run by hand: .venv/bin/python -m tests.faults.soak [--minutes 10] [--rate 30]. PostgreSQL and Redis are the script's
own. Memory, descriptors, threads and connections have to be flat after a warm-up of a fifth of the time.
"""

import asyncio
import os
import random
import statistics
import time
from argparse import ArgumentParser
from contextlib import suppress
from typing import NamedTuple

import httpx2

from apps.accounts.manager import HASHER
from apps.accounts.models import User
from project.core.redis import connect
from tests.faults.cluster import STRAINED, Cluster, cluster
from tests.faults.crowd import API, Talker, Town, town
from tests.faults.ledger import Visits, getting, posting, visit
from tests.faults.processes import Served, held
from tests.faults.report import Report, run

MINUTES, RATE = 10.0, 30.0
WARM = 0.2  # of the time
LOOK_SECONDS = 5.0
PEOPLE, SOCKETS = 10, 50
PASSWORD = "a long walk by the sea"
SLOPE_MB = 1.0  # that memory may grow by in ten minutes
GROWTH = {"descriptors": 5, "threads": 1, "connections": 2, "clients": 1}  # that may be held more at the end
MOST = 300  # requests under way
MANY = "1000000/minute"
ENV = {
    "INSTALLED_APPS": f"{STRAINED},apps.fetcher,apps.realtime",
    "ACCOUNTS_LOGIN_RATE_ACCOUNT": MANY,
    "ACCOUNTS_LOGIN_RATE_ADDRESS": MANY,
}
LOGIN = {"email": "log@example.com", "password": PASSWORD}
PAGES = ("/", "/accounts/sessions", "/accounts/profile", "/fetcher/batches", "/realtime/rooms", "/accounts/login")
READS = ("/api/v1/accounts/me", "/api/v1/strained/entries", f"{API}/messages", "/health/ready")
# How often each of them comes, of a hundred requests.
MIX = {"page": 30, "read": 30, "entry": 20, "say": 8, "login": 5, "socket": 5, "leave": 2}
OPTIONS = ArgumentParser()
OPTIONS.add_argument("--minutes", type=float, default=MINUTES)
OPTIONS.add_argument("--rate", type=float, default=RATE)


class Look(NamedTuple):
    """What was held at a moment."""

    minutes: float
    megabytes: dict[str, float]  # by process
    descriptors: int
    threads: int
    connections: int  # to PostgreSQL
    clients: int  # of Redis


class Soak:
    """The site, its visitors, and what was seen of both."""

    def __init__(self, one: Town, site: Served, server: Cluster, worker: int) -> None:
        self.one, self.site, self.server = one, site, server
        first, second = site.workers
        self.pids = {"web 1": first, "web 2": second, "worker": worker}
        self.visits, self.entries, self.looks = Visits(), Visits(), list[Look]()
        self.talkers: list[Talker] = []
        self.said = self.joined = self.left = self.crowded = self.refused = 0
        self.started = time.perf_counter()
        self._redis = connect(one.site.runtime.settings.REDIS_URL)
        self._clients = [one.client(each, site) for each in range(PEOPLE)]

    @property
    def minutes(self) -> float:
        """How long it has run."""
        return (time.perf_counter() - self.started) / 60

    async def look(self) -> None:
        """Look at what is held, again and again."""
        while True:
            each = {name: held(pid) for name, pid in self.pids.items()}
            rows = await self.server.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'uptempo'")
            clients = (await self._redis.info("clients"))["connected_clients"]
            self.looks.append(
                Look(
                    self.minutes,
                    {name: seen.megabytes for name, seen in each.items()},
                    sum(seen.descriptors for seen in each.values()),
                    sum(seen.threads for seen in each.values()),
                    rows[0][0],
                    clients,
                )
            )
            await asyncio.sleep(LOOK_SECONDS)

    async def drive(self, minutes: float, rate: float) -> None:
        """So many requests in a second, whether the last ones are answered or not."""
        kinds, weights = list(MIX), list(MIX.values())
        under_way = set[asyncio.Task[None]]()
        for number in range(int(minutes * 60 * rate)):
            await asyncio.sleep(max(0.0, self.started + number / rate - time.perf_counter()))
            if len(under_way) > MOST:
                self.crowded += 1
                continue
            task = asyncio.create_task(getattr(self, random.choices(kinds, weights)[0])())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def page(self) -> None:
        """Somebody looks at a page."""
        self.visits.all.append(await visit(random.choice(self._clients), getting(random.choice(PAGES))))

    async def read(self) -> None:
        """A program reads."""
        self.visits.all.append(await visit(random.choice(self._clients), getting(random.choice(READS))))

    async def entry(self) -> None:
        """A program writes, and a job follows."""
        self.entries.all.append(await visit(random.choice(self._clients), posting("/api/v1/strained/entries")))

    async def say(self) -> None:
        """Somebody says something in the room."""
        random.choice(self.talkers).say("hello")
        self.said += 1

    async def login(self) -> None:
        """Somebody logs in, and out again."""
        async with httpx2.AsyncClient(base_url=self.site.url, timeout=30, verify=False) as client:
            self.visits.all.append(await visit(client, lambda who, _: who.post("/api/v1/accounts/login", json=LOGIN)))
            self.visits.all.append(await visit(client, lambda who, _: who.post("/api/v1/accounts/logout")))

    async def socket(self) -> None:
        """Somebody goes, and somebody comes."""
        self.talkers.pop(0).transport.abort()
        try:
            self.talkers.append(await self.one.join(self.joined % PEOPLE, self.site))
        except ConnectionError:
            self.refused += 1
        self.joined += 1

    async def leave(self) -> None:
        """Somebody asks for what takes long, and leaves."""
        reader, writer = await asyncio.open_connection("127.0.0.1", int(self.site.url.rpartition(":")[2]))
        writer.write(b"GET /api/v1/strained/slow?seconds=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        with suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read(1)
        writer.transport.abort()
        self.left += 1

    async def close(self) -> None:
        """Leave nothing open."""
        for client in self._clients:
            await client.aclose()
        await self._redis.aclose()


async def soak(report: Report) -> None:
    """Everything at once, for long: nothing may grow."""
    given = OPTIONS.parse_args()
    async with cluster() as server, town(PEOPLE, 0, server=server.url, **ENV) as one:
        site, worker = await one.site.serve(), await one.site.worker()
        async with one.site.runtime.unit_of_work() as db:
            db.add(User(email=LOGIN["email"], hashed_password=HASHER.hash(PASSWORD), is_verified=True))
        it = Soak(one, site, server, worker.pid)
        it.talkers = [await one.join(each % PEOPLE, site) for each in range(SOCKETS)]
        looking = asyncio.create_task(it.look())
        it.started = time.perf_counter()
        await it.drive(given.minutes, given.rate)
        looking.cancel()
        seconds = it.minutes * 60
        await it.close()
        await one.site.until_ended(60)
        _tell(report, it, seconds)
        report.equal("sockets that were closed", 0, sum(each.closed.done() for each in it.talkers))
        report.equal("the same processes", [*it.pids.values()], [*site.workers, worker.pid])
        report.equal("tracebacks", {}, site.bugs | worker.bugs)
        await one.site.demand_entries(report, it.entries)
        await one.site.demand_each_once(report, it.entries.accepted)
    _demand_flat(report, [each for each in it.looks if each.minutes >= given.minutes * WARM])


def _tell(report: Report, it: Soak, seconds: float) -> None:
    both = Visits()
    both.all = sorted(it.visits.all + it.entries.all, key=lambda each: each.sent)
    half = len(both.all) // 2
    report.note("requests, said, joined, left early", f"{len(both.all)}, {it.said}, {it.joined}, {it.left}")
    report.note("requests a second", f"{len(both.all) / seconds:.1f}")
    report.note("answers", both.told)
    fine = {200, 201, 204, 303}
    report.equal(
        "answers other than 200, 201, 204, 303",
        {},
        {each: many for each, many in both.answers.items() if each not in fine},
    )
    report.equal("sockets refused", 0, it.refused)
    report.equal("requests left out, as too many were under way", 0, it.crowded)
    parts = Visits(), Visits()
    parts[0].all, parts[1].all = both.all[:half], both.all[half:]
    report.note("p99 of the first half, of the second", " ".join(f"{each.p99:.3f} s" for each in parts))
    report.note("load", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _demand_flat(report: Report, looks: list[Look]) -> None:
    """Demand that nothing grows from the end of the warm-up to the end."""
    for name in looks[0].megabytes:
        seen = [each.megabytes[name] for each in looks]
        slope = statistics.linear_regression([each.minutes for each in looks], seen).slope * 10
        report.note(f"memory of {name}: first, highest, last", f"{seen[0]:.1f}, {max(seen):.1f}, {seen[-1]:.1f} MB")
        report.at_most(f"memory of {name} grows in ten minutes by", SLOPE_MB, slope, "MB")
    third = max(1, len(looks) // 3)
    for name, room in GROWTH.items():
        seen = [getattr(each, name) for each in looks]
        first, last = statistics.median(seen[:third]), statistics.median(seen[-third:])
        report.note(f"{name}: first third, last third, most", f"{first:g}, {last:g}, {max(seen)}")
        report.at_most(f"{name} grow by", room, last - first, "")


if __name__ == "__main__":
    run(soak, seconds=60 * OPTIONS.parse_args().minutes + 300)
