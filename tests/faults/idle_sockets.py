"""2,000 sockets that only listen, in one room on two processes, while somebody says something each second.

Run by hand: .venv/bin/python -m tests.faults.idle_sockets [sockets] [seconds].
"""

import asyncio
import os
import statistics
import sys
import time
from typing import Any

from tests.faults.crowd import Talker, Town, megabytes, town
from tests.faults.lab import until
from tests.faults.report import Report, run

SOCKETS, SECONDS = 2000, 60
EACH = 10  # sockets of one person in one process, the most there may be
AT_ONCE = 20  # handshakes under way
WARM = 60  # sockets that come and go before anything is measured
SETTLED = 20  # seconds after everybody has left


async def idle_sockets(report: Report) -> None:
    """Many sockets that only listen, on two processes; one message a second."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    count, seconds = numbers + [SOCKETS, SECONDS][len(numbers) :]
    delays: list[float] = []

    def hear(_: Talker, told: dict[str, Any]) -> None:
        if told["type"] == "message":
            delays.append(time.time() - float(told["body"]))

    async with town(count // (2 * EACH) + 1) as one:
        first = await _join(one, min(count, WARM), hear)  # what the first ones need is no socket's
        for each in first:
            each.say(f"{time.time():.6f}")
        await until(lambda: len(delays) >= len(first) ** 2, 60)
        for each in first:
            each.transport.abort()
        delays.clear()
        await asyncio.sleep(SETTLED / 4)
        before = _memory(one)
        started = time.perf_counter()
        talkers = await _join(one, count, hear)
        report.at_most("all have joined", 60, time.perf_counter() - started)
        await asyncio.sleep(5)  # presence is told
        full = _memory(one)
        for number in range(seconds):
            talkers[number % count].say(f"{time.time():.6f}")
            await asyncio.sleep(1)
        await until(lambda: len(delays) >= count * seconds, 30)
        ran = _memory(one)
        after = await _leave(one, talkers)
        again = await _leave(one, await _join(one, count, lambda *_: None))
    report.equal("deliveries", count * seconds, len(delays))
    report.equal("the same for all, in order", 1, len({tuple(each.ids) for each in talkers}))
    report.at_most("p99 from said to heard", 2, statistics.quantiles(delays, n=100)[98])
    report.note("p50; worst", f"{statistics.median(delays):.3f}; {max(delays):.3f} s")
    for was, open_, busy, left, twice in zip(before, full, ran, after, again, strict=True):
        told = f"{was:.0f}, {open_:.0f}, {busy:.0f}, {left:.0f}, {twice:.0f} MB"
        report.note("memory before, joined, at the end, left, left by a second crowd", told)
        report.at_most("memory of a socket", 100, (max(open_, busy) - was) * 2000 / count, "kB")
        report.at_most("memory after a second crowd, of that after the first", 1.1, twice / left, "x")
    report.note("load", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _memory(one: Town) -> list[float]:
    return [megabytes(web) for web in one.webs]


async def _leave(one: Town, talkers: list[Talker]) -> list[float]:
    """What the processes hold when all have left and it is quiet again.

    The allocator keeps arenas in which anything lives that was born in the crowd (a connection of the pool is enough),
    so the memory of a first crowd is kept for the next: a leak would show as more after the second.
    """
    for each in talkers:
        each.transport.abort()
    await asyncio.sleep(SETTLED)
    return _memory(one)


async def _join(one: Town, count: int, hear: Any) -> list[Talker]:
    room = asyncio.Semaphore(AT_ONCE)

    async def join(number: int) -> Talker:
        async with room:
            return await one.join(number // (2 * EACH), one.webs[number % 2], hear)

    return await asyncio.gather(*map(join, range(count)))


if __name__ == "__main__":
    run(idle_sockets)
