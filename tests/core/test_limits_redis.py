"""Limits that all workers share: through Redis, and in each process where Redis is away, hangs or is full."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import anyio
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from project.core.conf import ROOT
from project.core.errors import TooMany
from project.core.redis import connect
from project.core.testing.redis_server import RedisServer
from project.core.web import limits
from project.core.web.limits import Limiter

RATE = "10/minute"
MANY = """
import asyncio, sys
from pydantic import SecretStr
from project.core.errors import TooMany
from project.core.web import limits
from project.core.web.limits import Limiter

limits.PATIENCE = 30

async def main():
    limiter = Limiter(SecretStr(sys.argv[1]), "one site")
    print("ready", flush=True)
    sys.stdin.readline()
    done = await asyncio.gather(*(limiter.hit("a", "x", "10/minute") for _ in range(8)), return_exceptions=True)
    print(sum(each is None for each in done), {type(each) for each in done} <= {TooMany, type(None)})
    await limiter.aclose()

asyncio.run(main())
"""


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running
        running.go_on()


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = connect(SecretStr(server.url))
    yield client
    await client.aclose()


@pytest.fixture
async def workers(server: RedisServer) -> AsyncIterator[list[Limiter]]:
    """Two workers of one site, in one process."""
    pair = [Limiter(SecretStr(server.url), "one site") for _ in range(2)]
    yield pair
    for each in pair:
        await each.aclose()


async def passes(limiter: Limiter, key: str = "x", rate: str = RATE) -> bool:
    try:
        await limiter.hit("a", key, rate)
    except TooMany:
        return False
    return True


async def passed(limiter: Limiter, tries: int, key: str = "x") -> int:
    """How many of so many tries at once."""
    return sum(await asyncio.gather(*(passes(limiter, key) for _ in range(tries))))


async def test_two_workers_share_one_limit_and_other_keys_are_free(workers: list[Limiter]) -> None:
    one, two = workers
    assert await passed(one, 6) + await passed(two, 6) == 10
    assert (await passed(one, 1), await passed(two, 1)) == (0, 0)
    assert await passed(two, 12, key="y") == 10
    with pytest.raises(TooMany) as refused:
        await two.hit("a", "x", RATE)
    assert 50 < (refused.value.retry_after or 0) <= 60


async def test_four_processes_at_once_let_no_try_more_pass_than_one(server: RedisServer) -> None:
    words = [sys.executable, "-c", MANY, server.url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    processes = [subprocess.Popen(words, env=os.environ | {"PYTHONPATH": str(ROOT)}, **pipes) for _ in range(4)]  # type: ignore[call-overload] # noqa: ASYNC220
    for each in processes:
        assert (await asyncio.to_thread(each.stdout.readline)).strip() == "ready"
    said = await asyncio.gather(*(asyncio.to_thread(each.communicate, "go\n") for each in processes))
    counts = [out.split() for out, _ in said]
    assert sum(int(count) for count, _ in counts) == 10
    assert {fine for _, fine in counts} == {"True"}


async def test_a_window_moves_with_the_clock_of_redis(
    server: RedisServer, workers: list[Limiter], redis: Redis
) -> None:
    one, two = workers
    assert [await passes(each, rate="2/minute") for each in (one, one, two)] == [True, True, False]
    (key,) = await redis.keys("*")
    now = int((await redis.time())[0]) * 1000
    await redis.execute_command("LSET", key, 1, now - 60_001)  # type: ignore[no-untyped-call]
    fresh = Limiter(SecretStr(server.url), "one site")
    assert [await passes(fresh, rate="2/minute") for _ in range(2)] == [True, False]
    await fresh.aclose()


async def test_redis_holds_no_e_mail_and_no_address_and_forgets_by_itself(server: RedisServer, redis: Redis) -> None:
    limiter, another = (Limiter(SecretStr(server.url), key) for key in ("one site", "another site"))
    keys_asked = ["ann@example.com", "192.0.2.7", "2001:db8:1:2::/64", "\ud800"]
    for asked in keys_asked:
        await limiter.hit("accounts.login.account", asked, RATE)
    keys = [key.decode() for key in await redis.keys("*")]
    assert len(keys) == len(keys_asked)
    for key in keys:
        assert key.startswith("uptempo:limit:")
        assert not any(word in key for word in ("ann", "example", "192", "2001", "login"))
        assert 50_000 < await redis.pttl(key) <= 60_000
        assert all(value.isdigit() for value in await redis.execute_command("LRANGE", key, 0, -1))  # type: ignore[no-untyped-call]
    await another.hit("accounts.login.account", "ann@example.com", RATE)  # nobody can look a mailbox up by its hash
    assert len(await redis.keys("*")) == len(keys_asked) + 1
    for each in (limiter, another):
        await each.aclose()


async def test_while_redis_is_gone_each_worker_goes_on_with_what_it_saw(
    server: RedisServer, workers: list[Limiter]
) -> None:
    one, two = workers
    assert await passed(one, 7) == 7
    server.kill()
    assert await passed(one, 9) == 3
    assert await passed(two, 12) == 10


async def test_a_redis_that_hangs_holds_nobody_up_and_opens_nothing(
    server: RedisServer, workers: list[Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAUSE", 3600)
    assert await passed(workers[0], 1) == 1
    server.halt()
    assert await passed(workers[0], 30) == 9
    asked: list[object] = []
    monkeypatch.setattr(workers[0], "_script", lambda *words: asked.append(words))
    assert await passed(workers[0], 5, key="another") == 5
    assert asked == []  # who did not answer is left alone for a while


async def test_one_try_only_waits_for_a_redis_that_hung_a_moment_ago(
    server: RedisServer, workers: list[Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.halt()
    assert await passed(workers[0], 1) == 1
    monkeypatch.setattr(workers[0], "_ask_again", 0.0)  # the pause is over
    asked: list[object] = []

    async def silent(*words: object) -> int:
        asked.append(words)
        await asyncio.sleep(3600)
        return 0

    monkeypatch.setattr(workers[0], "_script", silent)
    with anyio.fail_after(10):
        assert await passed(workers[0], 20) == 9
    assert len(asked) == 1


async def test_when_redis_is_back_all_count_together_again(
    server: RedisServer, workers: list[Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PAUSE", 0)
    one, two = workers
    server.kill()
    assert await passed(one, 4) == 4
    server.start()
    assert await passed(one, 4) == 4
    assert await passed(two, 12) == 6  # what was tried while it was away, it cannot know
    assert await passed(one, 12) == 0
    server.halt()
    assert await passed(one, 1, key="y") == 1
    server.go_on()
    assert await passed(one, 12, key="y") == 9
    assert await passed(two, 12, key="y") in (0, 1)  # the one it was asked while it hung may have been counted late


async def test_an_emptied_redis_washes_nothing_off(workers: list[Limiter], redis: Redis) -> None:
    assert await passed(workers[0], 10) == 10
    await redis.flushall()
    assert await passed(workers[0], 10) == 0


async def test_a_full_redis_is_as_good_as_none(workers: list[Limiter], redis: Redis) -> None:
    await redis.config_set("maxmemory", "1")
    assert await passed(workers[0], 12) == 10


async def test_an_option_that_the_client_does_not_know_opens_nothing(server: RedisServer) -> None:
    limiter = Limiter(SecretStr(f"{server.url}?no_such_option=1"))
    assert await passed(limiter, 12) == 10
    await limiter.aclose()


async def test_a_flood_is_refused_without_asking_redis(workers: list[Limiter], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = workers
    assert await passed(one, 10) == 10
    assert await passed(two, 1) == 0
    for each in workers:
        monkeypatch.setattr(each, "_script", None)
    assert [await passed(each, 50) for each in workers] == [0, 0]
    assert not any(each._away for each in workers)


async def test_who_was_let_pass_is_not_sent_away_by_the_next_ones_refusal(
    workers: list[Limiter], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, turn = iter([0, 60_000]), asyncio.Event()

    async def answered(*_: object) -> int:
        found = next(answers)
        if found == 0:
            await turn.wait()  # its answer comes last
        else:
            turn.set()
        return found

    monkeypatch.setattr(workers[0], "_script", answered)
    assert list(await asyncio.gather(passes(workers[0]), passes(workers[0]))) == [True, False]
    assert not await passes(workers[0])
