"""Blocking work: off the loop, bounded, and refused rather than piled up."""

import asyncio
import os
import sys
import threading

import anyio
import pytest

from project.core.errors import Unavailable
from project.core.pool import ThreadPool


async def test_work_runs_in_a_thread_while_the_loop_goes_on() -> None:
    pool, gate = ThreadPool("test", 1, 4), threading.Event()
    waiting = asyncio.create_task(pool.run(gate.wait, 5))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting is True
    assert (await pool.run(threading.current_thread)).name.startswith("test")
    pool.close()


async def test_more_than_the_bound_is_refused_and_room_comes_back() -> None:
    pool, gate = ThreadPool("test", 1, 2), threading.Event()
    running = [asyncio.create_task(pool.run(gate.wait, 5)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.run(int)
    gate.set()
    await asyncio.gather(*running)
    assert await pool.run(int) == 0
    pool.close()


async def test_a_caller_that_gives_up_frees_its_place_when_the_work_is_done() -> None:
    pool, gate = ThreadPool("test", 1, 1), threading.Event()
    with anyio.move_on_after(0.01):
        await pool.run(gate.wait, 5)
    with pytest.raises(Unavailable):
        await pool.run(int)
    gate.set()
    with anyio.fail_after(5):
        while True:
            try:
                assert await pool.run(int) == 0
                break
            except Unavailable:
                await asyncio.sleep(0)
    pool.close()


async def test_what_has_waited_too_long_is_refused_and_not_begun() -> None:
    pool, gate, begun = ThreadPool("test", 1, 4, patience=0.05), threading.Event(), list[int]()
    first = asyncio.create_task(pool.run(gate.wait, 5))
    late = [asyncio.create_task(pool.run(begun.append, number)) for number in range(2)]
    await asyncio.sleep(0.1)
    gate.set()
    for each in late:
        with pytest.raises(Unavailable) as refused:
            await each
        assert refused.value.retry_after
    assert await first is True
    assert begun == []
    assert await pool.run(int) == 0
    pool.close()


async def test_who_asks_first_learns_that_there_is_no_room() -> None:
    pool, gate = ThreadPool("test", 1, 1), threading.Event()
    pool.check()
    running = asyncio.create_task(pool.run(gate.wait, 5))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        pool.check()
    gate.set()
    await running
    pool.close()


async def test_threads_that_yield_let_the_event_loop_go_first() -> None:
    pools = {yields: ThreadPool("test", 1, 1, yields=yields) for yields in (False, True)}
    behind = {each: await pool.run(_priority) - _priority() for each, pool in pools.items()}
    assert behind == {False: 0, True: 10 if sys.platform == "linux" else 0}
    for pool in pools.values():
        pool.close()


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
