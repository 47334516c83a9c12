"""A room while its Redis is away, while one of its processes is killed, and while somebody sends rubbish.

Run by hand: .venv/bin/python -m tests.faults.rooms [scenario ...]
"""

import asyncio
import random
import time
from signal import SIGKILL
from typing import Any

from tests.faults.crowd import API, Talker, Town, frame, megabytes, town
from tests.faults.lab import until
from tests.faults.report import Report, run

PEOPLE, RATE, OUTAGE_SECONDS = 10, 20, 5
FRAMES, WARM = 1000, 300


async def redis_restarted(report: Report) -> None:
    """Redis away for 5 s while messages are posted to both processes: nobody misses one, nobody gets one twice."""
    async with town(PEOPLE) as one:
        talkers = [await one.join(each, one.webs[each % 2]) for each in range(PEOPLE)]
        posted = list[int]()
        posting = asyncio.create_task(_post(one, posted))
        await asyncio.sleep(2)
        one.site.redis.kill()
        await asyncio.sleep(OUTAGE_SECONDS)
        during = len(posted)
        one.site.redis.start()
        await asyncio.sleep(5)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        latest = max(posted)
        seconds = await until(lambda: all(latest in each.ids for each in talkers), 30)
        report.note("messages posted, of them before it came back", f"{len(posted)}, {during}")
        report.equal("sockets that stayed open", PEOPLE, sum(not each.closed.done() for each in talkers))
        missing = sum(len(set(posted) - set(each.ids)) for each in talkers)
        report.equal("missing", 0, missing)
        report.equal("doubled", 0, sum(len(each.ids) - len(set(each.ids)) for each in talkers))
        report.equal("in order", PEOPLE, sum(each.ids == sorted(each.ids) for each in talkers))
        report.at_most("all have all after the last one", 5, seconds)


async def _post(one: Town, posted: list[int]) -> None:
    """Post to both processes in turn, RATE in a second, and keep the ids that were answered."""
    async with one.client(0, one.webs[0]) as here, one.client(1, one.webs[1]) as there:
        while True:
            for client in (here, there):
                answer = await client.post(f"{API}/messages", json={"body": "hello"})
                assert answer.status_code == 201, answer.text
                posted.append(answer.json()["id"])
                await asyncio.sleep(1 / RATE)


async def worker_killed(report: Report) -> None:
    """kill -9 of one of two processes: half of its people come again, and only they are there soon after."""
    seen: dict[Talker, int] = {}

    def hear(talker: Talker, told: dict[str, Any]) -> None:
        if told["type"] == "presence":
            seen[talker] = told["total"]

    async with town(2 * PEOPLE) as one:
        lasting = [await one.join(each, one.webs[0], hear) for each in range(PEOPLE)]
        for each in range(PEOPLE, 2 * PEOPLE):
            await one.join(each, one.webs[1])
        await until(lambda: {seen.get(each) for each in lasting} == {2 * PEOPLE}, 10)
        started = time.monotonic()
        await one.webs[1].end(SIGKILL)
        again = [await one.join(each, one.webs[0], hear) for each in range(PEOPLE, PEOPLE + PEOPLE // 2)]
        right = PEOPLE + PEOPLE // 2

        async def told() -> bool:
            async with one.client(0, one.webs[0]) as client:
                return bool((await client.get(f"{API}/presence")).json()["total"] == right)

        await until(told, 60, 0.5)
        report.at_most("presence is right", 30, time.monotonic() - started)
        await until(lambda: {seen.get(each) for each in lasting + again} == {right}, 60)
        report.at_most("everybody has been told so", 30, time.monotonic() - started)
        again[0].say("we are back")
        await until(lambda: all(each.ids == [1] for each in lasting + again), 10)
        report.note("people who follow on", len(lasting + again))


async def random_frames(report: Report) -> None:
    """1,000 random frames into a room: no traceback, no memory, and whoever else is there notices nothing."""
    chance = random.Random(7)
    async with town(3, webs=1) as one:
        (web,) = one.webs
        other = await one.join(0, web)
        await _spoil(one, chance, WARM)
        before = megabytes(web)
        codes = await _spoil(one, chance, FRAMES)
        report.at_most("memory grew by", 5, megabytes(web) - before, "MB")
        one_more = await one.join(2, web)
        one_more.say("hello")
        report.at_most("somebody else still talks and hears", 1, await until(lambda: bool(other.ids), 10))
        report.equal("their socket stayed open", "yes", "no" if other.closed.done() else "yes")
        report.equal("tracebacks in the log", 0, web.log.read_text().count("Traceback"))
        report.note("how the others were closed", dict(sorted(codes.items())))


async def _spoil(one: Town, chance: random.Random, count: int) -> dict[int, int]:
    """Send so many random frames, on a new socket whenever the server has closed the last; the codes it gave."""
    codes: dict[int, int] = {}
    talker = await one.join(1, one.webs[0])
    for _ in range(count):
        if talker.closed.done():
            talker = await one.join(1, one.webs[0])
        talker.transport.write(_rubbish(chance))
        await asyncio.wait([talker.closed], timeout=0.02)
        if talker.closed.done():
            codes[talker.closed.result()] = codes.get(talker.closed.result(), 0) + 1
    talker.transport.abort()
    return codes


def _rubbish(chance: random.Random) -> bytes:
    """Bytes that are no frame, a frame of any kind with random bytes, or text that looks like JSON."""
    some = chance.randbytes(chance.randrange(300))
    words = [b'{"type": "message"', b'"body":', b"[", b"\\u0000", b"null", b"1e999", b"}", b'"', b" "]
    text = b"".join(chance.choices(words, k=8))
    return chance.choice([some, frame(some, chance.randrange(16)), frame(some), frame(text)])


if __name__ == "__main__":
    run(redis_restarted, worker_killed, random_frames)
