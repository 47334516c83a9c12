"""A room of 50 in which one never reads: 10,000 messages of 1 kB, 500 a second; the others get all, in order.

Run by hand: .venv/bin/python -m tests.faults.slow_reader [messages]. The 49 say all of it themselves, over their
sockets in two web processes, on PostgreSQL and Redis.
"""

import asyncio
import fcntl
import os
import socket
import statistics
import sys
import termios
import time
from contextlib import suppress
from typing import Any

from tests.faults.crowd import PATH, Talker, Town, handshake, megabytes, town
from tests.faults.lab import until
from tests.faults.report import Report, run

PEOPLE, MESSAGES, RATE, SIZE = 50, 10_000, 500, 1000
PATIENCE = 60  # seconds for the last messages to arrive


class Silent:
    """A socket that never reads; its buffer was full at `full`."""

    def __init__(self, one: Town, number: int) -> None:
        port = int(one.webs[0].url.rpartition(":")[2])
        self.full, self._socket = 0.0, socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(handshake(port, PATH, one.people[number]))

    async def fill(self) -> None:
        """Return when it holds something and has not grown for a second; cancelled at the end."""
        held, grew = 0, time.monotonic()
        while not held or time.monotonic() - grew < 1:
            before, held = held, int.from_bytes(fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4)), sys.byteorder)
            grew = time.monotonic() if held > before else grew
            await asyncio.sleep(0.05)
        self.full = grew


class Seen:
    """What the readers have seen together."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.there = 0
        self.gone = 0.0  # when the silent one was told to be gone

    def hear(self, _: Talker, told: dict[str, Any]) -> None:
        if told["type"] == "message":
            self.delays.append(time.time() - float(told["body"].partition(" ")[0]))
        elif told["type"] == "presence":
            if told["total"] < self.there and not self.gone:
                self.gone = time.monotonic()
            self.there = max(self.there, told["total"])


async def slow_reader(report: Report) -> None:
    """A room of 50 on two processes, one of them never reads; 1 kB, 500 a second."""
    count = next((int(word) for word in sys.argv[1:] if word.isdigit()), MESSAGES)
    async with town(PEOPLE) as one:
        seen = Seen()
        readers = [await one.join(each, one.webs[each % 2], seen.hear) for each in range(PEOPLE - 1)]
        silent = Silent(one, PEOPLE - 1)
        await asyncio.sleep(2)  # the last ones are about to follow, and presence is told
        report.equal("people in the room", PEOPLE, seen.there)
        before = [megabytes(web) for web in one.webs]
        filling = asyncio.create_task(silent.fill())
        started = time.perf_counter()
        await _say(readers, count)
        seconds = time.perf_counter() - started
        closed = [each.closed.result() for each in readers if each.closed.done()]
        filling.cancel()
        after = [megabytes(web) for web in one.webs]
    complete = sum(each.ids == [*range(1, count + 1)] for each in readers)
    report.equal("readers who got all of them, in order", len(readers), complete)
    report.equal("missing; doubled", (0, 0), _faults(readers, count))
    report.equal("closed by the server", [], closed)
    report.at_least("messages a second, to the last delivery", 0.95 * RATE, count / seconds)
    report.at_most("p99 from said to heard", 1, statistics.quantiles(seen.delays, n=100)[98])
    report.note("p50; worst", f"{statistics.median(seen.delays):.3f}; {max(seen.delays):.3f} s")
    report.fits("the silent one is closed", "yes", "yes" if seen.gone else "no", holds=bool(seen.gone))
    report.at_most("closed after its own buffer was full", 10, seen.gone - silent.full)
    for was, is_ in zip(before, after, strict=True):
        report.at_most("memory of a process grew by", 50, is_ - was, "MB")
    report.note("load", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _faults(readers: list[Talker], count: int) -> tuple[int, int]:
    missing = sum(count - len(set(each.ids)) for each in readers)
    return missing, sum(len(each.ids) - len(set(each.ids)) for each in readers)


async def _say(readers: list[Talker], count: int) -> None:
    """Everybody says their share in turn, RATE in a second, until all have heard it or PATIENCE is over."""
    started = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, started + number / RATE - time.perf_counter()))
        readers[number % len(readers)].say(f"{time.time():.6f} ".ljust(SIZE, "x"))
    with suppress(TimeoutError):
        await until(lambda: all(len(each.ids) >= count for each in readers), PATIENCE)


if __name__ == "__main__":
    run(slow_reader)
