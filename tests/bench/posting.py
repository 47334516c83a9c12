"""Messages a second that can be posted into one room, by the API and over sockets, on two processes.

Run by hand: .venv/bin/python -m tests.bench.posting [rounds] [seconds]. PostgreSQL and Redis; TEST_DATABASE_URL names
the server. wrk posts, from 16 connections to each process; over sockets 40 people talk as fast as they are let.
"""

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import col

from apps.realtime.models import Message, Room
from tests.faults.crowd import API, Town, town
from tests.faults.lab import until

ROUNDS, SECONDS, CONNECTIONS, TALKERS = 3, 10, 16, 40
POST = """
wrk.method = "POST"
wrk.body = '{"body": "hello"}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Cookie"] = "%s"
"""


async def by_api(one: Town, seconds: int) -> float:
    """Messages a second, counted in the table."""
    before = await latest(one)
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        for number, web in enumerate(one.webs):
            script = Path(folder) / f"{number}.lua"
            script.write_text(POST % one.people[number])
            words = [
                "-t1",
                f"-c{CONNECTIONS}",
                f"-d{seconds}s",
                "--latency",
                "-s",
                str(script),
                f"{web.url}{API}/messages",
            ]
            runs.append(await asyncio.create_subprocess_exec("wrk", *words, stdout=asyncio.subprocess.PIPE))
        said = [(await run.communicate())[0].decode() for run in runs]
    assert not any("Non-2xx" in each for each in said), said
    print("  ", *(re.findall(r"99%\s+(\S+)", each)[0] for each in said), "p99;", end=" ")
    return (await latest(one) - before) / seconds


async def by_sockets(one: Town, seconds: int) -> float:
    """Messages a second until the last was heard by somebody who only listens."""
    listener = await one.join(0, one.webs[0])
    talkers = [await one.join(each, one.webs[each % 2]) for each in range(1, TALKERS)]
    count = (TALKERS - 1) * 10 * seconds
    started = time.perf_counter()
    for number in range(10 * seconds):
        await asyncio.sleep(max(0.0, started + number / 10 - time.perf_counter()))
        for each in talkers:
            each.say("hello")
    await until(lambda: len(listener.ids) >= count, 60, 0.01)
    took = time.perf_counter() - started
    for each in [listener, *talkers]:
        each.transport.abort()
    return count / took


def _processor(one: Town) -> float:
    """Seconds that the web processes have used."""
    ticks = [Path(f"/proc/{web.pid}/stat").read_text().rpartition(")")[2].split()[11:13] for web in one.webs]
    return sum(int(word) for each in ticks for word in each) / os.sysconf("SC_CLK_TCK")


async def latest(one: Town) -> int:
    """The room's counter, after a look whether it has counted without a hole."""
    said, last = sa.func.count(col(Message.id)), sa.func.coalesce(sa.func.max(col(Message.number)), 0)
    async with one.site.runtime.unit_of_work(write=False) as db:
        found = (
            await db.execute(sa.select(col(Room.latest), said, last).outerjoin(Message).group_by(col(Room.id)))
        ).one()
    assert len(set(found)) == 1, found
    return int(found[0])


async def main() -> None:
    rounds, seconds = [int(word) for word in sys.argv[1:]] + [ROUNDS, SECONDS][len(sys.argv) - 1 :]
    async with town(TALKERS) as one:
        for name, way in {"API": by_api, "sockets": by_sockets}.items():
            spent, before = _processor(one), await latest(one)
            rates = [await way(one, seconds) for _ in range(rounds)]
            each = (_processor(one) - spent) / (await latest(one) - before) * 1000
            rate = f"{statistics.median(rates):,.0f} messages/s ({min(rates):,.0f} to {max(rates):,.0f})"
            print(f"{name}: {rate}, {each:.2f} ms of the web's processor for each")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    asyncio.run(main())
