"""`manage.py bench`: the site beside a plain FastAPI app on the same PostgreSQL, round by round, W1 to W10.

W1 to W10 are the works of tests/bench/comparing.py. Both sides have one process on one core, wrk asks on the other
over 32 connections; in each round both are asked one after the other, and what counts is the median of the rounds'
ratios. Beside the rate stands the processor time of a request, which holds on a busy machine, too: ask over one
connection there, since what is under way at the end of a round was paid for and is not counted.

Neither side writes a line for each request unless `log` is on. Both know who asks by a bearer token or cookie that is
looked up in the database each time; the site besides asks its session row and rights. W9a asks who nobody is. The
site's W2, W3, W5 and W6 are the routes that `startapp` writes (project/core/scaffold), unchanged.
"""

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench import logins
from tests.bench.comparing import LOGINS, WORKS, Comparison, Starts, chosen as chosen, good, save, tell
from tests.bench.machine import Missing, client, cores
from tests.bench.sides import Side, both
from tests.faults.report import Report

STARTS = 5
LOGIN_ROUNDS = 3


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    works: list[str]
    rounds: int
    seconds: int
    connections: int
    log: bool


def check(postgresql: str) -> None:
    """Raises Missing where the machine lacks something, with what to do."""
    client()
    cores()
    if not re.match(r"postgres(ql)?://.", postgresql):
        raise Missing(
            "The benchmark needs a PostgreSQL server where it may make databases, which it drops at its end: "
            "name it by --database or TEST_DATABASE_URL, such as postgresql://postgres@127.0.0.1/postgres."
        )


def run(plan: Plan, postgresql: str, target: Path | None) -> bool:
    """Measure, tell, keep the figures; whether all that was wanted was seen. Raises Missing."""
    check(postgresql)
    return asyncio.run(_run(plan, postgresql, target))


async def _run(plan: Plan, postgresql: str, target: Path | None) -> bool:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with both(postgresql, folder, log=plan.log) as (site, plain, spare):
            print(f"load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
            compared = [Comparison(work) for work in plan.works if work in WORKS]
            starts = Starts(memory={"site": [site.server.memory()], "baseline": [plain.server.memory()]})
            _rounds(plan, site, plain, compared, folder / "request.lua")
            for side, marks in zip((site, plain), starts.memory.values(), strict=True):
                marks.append(side.server.memory())
                side.server.end()
            _start(starts, site, plain)
            print("\n".join(tell(compared, starts)), flush=True)
            if target:
                save(target, compared, starts)
            flooded = await _flooded(spare) if LOGINS in plan.works else True
            return good(compared, starts) and flooded


def _rounds(plan: Plan, site: Side, plain: Side, compared: list[Comparison], script: Path) -> None:
    for number in range(plan.rounds + 1):
        for each in compared:
            pair = [(site, each.site), (plain, each.plain)]
            for side, cells in pair if number % 2 else reversed(pair):
                seconds = plan.seconds if number else 1
                cell = side.server.measure(side.addresses[each.work], seconds, plan.connections, script)
                if number:  # the first round warms up
                    cells.append(cell)
        print(f"round {number} of {plan.rounds}" if number else "warmed up", flush=True)


def _start(starts: Starts, site: Side, plain: Side) -> None:
    for _ in range(STARTS):
        for side, seen in ((site, starts.site), (plain, starts.plain)):
            seen.append(side.server.start())
            side.server.end()


async def _flooded(url: str) -> bool:
    """W8: what 32 log-ins at once cost everybody else, by tests.bench.logins."""
    report = Report()
    with tempfile.TemporaryDirectory() as folder, _environment(folder):
        await logins.prepare(url)
        report.begin(f"{LOGINS}: {logins.LOGINS} good log-ins at once, no limits")
        await logins.run(report, logins.MANY, logins.PASSWORD, rounds=LOGIN_ROUNDS)
    return report.good


@contextlib.contextmanager
def _environment(folder: str) -> Iterator[None]:
    usual = dict(os.environ)
    os.environ |= logins.environment(folder)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)
