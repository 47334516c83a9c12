"""100 visitors ask for what takes the database long, and leave: whoever comes next does not wait for them.

Run by hand: .venv/bin/python -m tests.faults.aborted [scenario ...]. PostgreSQL and Redis are the script's own.
"""

import asyncio
import time
from contextlib import suppress

from tests.faults.cluster import Cluster, strained
from tests.faults.lab import until
from tests.faults.ledger import getting, posting, visitors
from tests.faults.processes import Served
from tests.faults.report import Report, run

ENTRIES = "/api/v1/strained/entries"
ABORTS, SLOW_SECONDS, LEAVE_AFTER = 100, 3.0, 0.4
NEXT = 4  # visitors who come next, on connections of their own, so that both processes are asked
STATEMENT_TIMEOUT = 5
BUSY = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'uptempo' AND state <> 'idle' "
IN_TRANSACTION = f"{BUSY} AND state LIKE 'idle in transaction%'"


async def aborted(report: Report) -> None:
    """100 requests with a query of 3 s, all given up after 0.4 s; then others ask."""
    async with strained() as (server, one):
        site, cookie = await one.serve(), await one.cookie()
        async with visitors(site.url, getting(ENTRIES), cookie=cookie) as usual:
            await asyncio.sleep(2)
        await asyncio.gather(*(_ask_and_leave(site) for _ in range(ABORTS)))
        left = time.perf_counter()
        report.note("statements that run when all have left", await _count(server, BUSY))
        async with visitors(site.url, getting(ENTRIES), cookie=cookie, count=NEXT, pause=30, fresh=True) as visits:
            await until(lambda: len(visits.all) >= NEXT, 60)
        report.fits("answers to whoever comes next", "200, 503", visits.told, holds=set(visits.answers) <= {200, 503})
        report.at_most(f"the slowest of them (before: {usual.p99:.3f} s)", 2, max(visits.seconds))
        await until(lambda: _none(server, BUSY), 60)
        report.at_most("no statement runs any more", STATEMENT_TIMEOUT + 2, time.perf_counter() - left)
        report.equal("idle in transaction", 0, await _count(server, IN_TRANSACTION))
        async with visitors(site.url, posting(ENTRIES), cookie=cookie) as after:
            await asyncio.sleep(2)
        report.equal("answers to 20 writers afterwards", {201}, set(after.answers))
        report.at_most("p99 of them", max(1, 2 * usual.p99), after.p99)
        report.equal("tracebacks", {}, site.bugs)


async def exhausted(report: Report) -> None:
    """100 requests with a query of 3 s at once, by people who wait; each is answered."""
    async with strained() as (_, one):
        site, cookie = await one.serve(), await one.cookie()
        slow = getting("/api/v1/strained/slow", seconds=SLOW_SECONDS)
        async with (
            visitors(site.url, slow, count=ABORTS, pause=60) as waiting,
            visitors(site.url, getting("/health/live"), count=NEXT, pause=0.1) as live,
        ):
            await until(lambda: len(waiting.all) == ABORTS, 60)
        report.fits("answers", "200, 503", waiting.told, holds=set(waiting.answers) <= {200, 503})
        report.at_most("longest answer", 5 + STATEMENT_TIMEOUT, max(waiting.seconds))
        report.at_most("p99 of /health/live meanwhile", 0.1, live.p99)
        async with visitors(site.url, posting(ENTRIES), cookie=cookie) as after:
            await asyncio.sleep(2)
        report.equal("answers to 20 writers afterwards", {201}, set(after.answers))


async def _ask_and_leave(site: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(site.url.rpartition(":")[2]))
    path = f"/api/v1/strained/slow?seconds={SLOW_SECONDS}"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_AFTER):
            await reader.read(1)
    writer.transport.abort()


async def _count(server: Cluster, statement: str) -> int:
    return int((await server.ask(statement))[0][0])


async def _none(server: Cluster, statement: str) -> bool:
    return await _count(server, statement) == 0


if __name__ == "__main__":
    run(aborted, exhausted)
