"""Bounded threads for blocking work, so that the event loop never waits for it."""

import asyncio
import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic
from typing import ParamSpec, TypeVar

from project.core.errors import Unavailable

RETRY_AFTER = 1  # second
NICE = 10
P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool:
    """A few threads and a bounded queue before them; over the bound it refuses instead of piling up.

    Args:
        name: shown in thread names.
        workers: how many threads.
        queue: how many calls may wait or run; one more raises Unavailable.
        patience: seconds; what waits longer raises Unavailable in place of beginning.
        yields: the event loop and every other thread come first when cores are short (Linux, where a thread has its
            own priority; elsewhere it is as any thread).
    """

    def __init__(self, name: str, workers: int, queue: int, patience: float = inf, *, yields: bool = False) -> None:
        self._executor = ThreadPoolExecutor(
            workers, thread_name_prefix=name, initializer=_step_back if yields else None
        )
        self._room = queue
        self._patience = patience
        self._waiting = 0

    def check(self) -> None:
        """Raise Unavailable when there is no room, to spare what comes before the call."""
        if self._waiting >= self._room:
            raise Unavailable(code="busy", retry_after=RETRY_AFTER)

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking call in a thread and await its result.

        A caller that is cancelled leaves; its place is free again when the thread has finished.
        """
        self.check()
        loop = asyncio.get_running_loop()
        begin_by = monotonic() + self._patience
        future = self._executor.submit(_begin, begin_by, functools.partial(call, *args, **kwargs))
        self._waiting += 1
        future.add_done_callback(lambda _: self._leave(loop))
        return await asyncio.wrap_future(future)

    def _leave(self, loop: asyncio.AbstractEventLoop) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._free)

    def _free(self) -> None:
        self._waiting -= 1

    def close(self) -> None:
        """Refuse new calls and forget the waiting ones."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _begin(by: float, call: Callable[[], T]) -> T:
    if monotonic() > by:
        raise Unavailable(code="busy", retry_after=RETRY_AFTER)
    return call()


_requests = ThreadPool("blocking", workers=8, queue=64)


async def run_blocking(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that blocks in a thread, so that the event loop does not wait; raises Unavailable when 64 wait.

    For what a request must wait for, and for fractions of a second. Everything longer is a job.
    """
    return await _requests.run(call, *args, **kwargs)
