"""A task that wakes each 10 ms, and a file for each process: when it woke, how many seconds too late, and how many of
these the process itself computed (for the others it waited, for a busy machine gave the core to somebody else)."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from project.core import AppConfig, Runtime

WAKE_SECONDS = 0.01
NOTED = 50  # wakings that are written at once
ROW = 3


@asynccontextmanager
async def lifespan(runtime: Runtime) -> AsyncIterator[None]:
    """Watch for as long as the process is open."""
    task = asyncio.create_task(_watch(lag_file(Path(runtime.settings.DATA_DIR), os.getpid())))
    yield
    task.cancel()


async def _watch(path: Path) -> None:
    loop = asyncio.get_running_loop()
    with path.open("w") as file:
        while True:
            for _ in range(NOTED):
                due, busy = loop.time() + WAKE_SECONDS, time.thread_time()
                await asyncio.sleep(WAKE_SECONDS)
                lag = loop.time() - due
                file.write(f"{time.monotonic()} {lag} {min(lag, time.thread_time() - busy)}\n")
            file.flush()


def lag_file(folder: Path, pid: int) -> Path:
    """Where a process notes its lag."""
    return folder / f"lag-{pid}"


def lags(folder: Path, pid: int, since: float, until: float) -> list[tuple[float, float]]:
    """How late a process was between two moments of the monotonic clock: (seconds, seconds of computing in them)."""
    rows = [line.split() for line in lag_file(folder, pid).read_text().splitlines()]
    whole = [[float(word) for word in row] for row in rows if len(row) == ROW]
    return [(lag, own) for moment, lag, own in whole if since <= moment <= until]


config = AppConfig(label="lagging", title="Lagging", lifespan=lifespan)
