"""A handler that holds the event loop: the log says within seconds which frame it was, and of which request.

Run by hand: .venv/bin/python -m tests.faults.stalled [scenario ...]. PostgreSQL and Redis are the script's own.
"""

import asyncio
import json
import time
from functools import partial
from typing import Any

import httpx2

from tests.faults.cluster import strained
from tests.faults.lab import until
from tests.faults.ledger import getting, visit, visitors
from tests.faults.processes import Served
from tests.faults.report import Report, run

SHORT, LONG = 1.0, 20.0
NAMED_WITHIN = 5.0
FRAME = "strained/app.py"


async def named(report: Report) -> None:
    """A handler holds the loop for 1 s, then another for 20 s."""
    async with strained() as (_, one):
        site = await one.serve()
        for seconds in (SHORT, LONG):
            before = len(_stalls(site))
            started = time.perf_counter()
            async with visitors(site.url, getting("/health/live"), count=4, pause=0.1) as live:
                held = asyncio.create_task(_hold(site, seconds))
                took = await until(partial(_more, site, before), NAMED_WITHIN + seconds)
                status = await held
            report.at_most(f"a loop held for {seconds:g} s is named after", NAMED_WITHIN, took)
            line = _stalls(site)[before]
            told = json.dumps(line)
            report.note("the line", told[:300])
            report.fits("it names the frame", FRAME, "yes" if FRAME in told else "no", holds=FRAME in told)
            report.fits("and the function", "block", "yes" if "block" in told else "no", holds="block" in told)
            report.fits(
                "and the request",
                "its id",
                "yes" if line.get("request_id") else "no",
                holds=bool(line.get("request_id")),
            )
            report.equal("the request itself was answered", 200, status)
            report.equal("broken or refused meanwhile", 0, len(live.all) - len(live.only(200)))
            report.note("it lasted, with the visitors", f"{time.perf_counter() - started:.1f} s")


async def _hold(site: Served, seconds: float) -> int | str:
    async with httpx2.AsyncClient(base_url=site.url, timeout=60, verify=False) as client:
        return (await visit(client, getting("/api/v1/strained/block", seconds=seconds))).answer


def _more(site: Served, before: int) -> bool:
    return len(_stalls(site)) > before


def _stalls(site: Served) -> list[dict[str, Any]]:
    """The lines of the log that speak of a loop that stalls."""
    lines = [line for line in site.log.read_text().splitlines() if line.startswith("{")]
    return [found for line in lines if "event loop" in (found := json.loads(line)).get("event", "")]


if __name__ == "__main__":
    run(named)
