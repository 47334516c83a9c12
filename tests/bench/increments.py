"""1,000 increments at once through real HTTP: each that was acknowledged is in the counter.

Run by hand: .venv/bin/python -m tests.bench.increments [DATABASE_URL of an empty PostgreSQL database]
"""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter as Tally
from pathlib import Path

from sqlalchemy import select

from project.core import Runtime
from project.core.db.migrations import migrate_database
from project.settings import Settings
from tests.core.probe.models import Counter, create

ROOT = Path(__file__).resolve().parents[2]
COUNT = 1000
SECONDS = 60


async def increment(port: int) -> tuple[int, float]:
    """One request on a connection of its own; returns its status and how long it took."""
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = ["POST /api/v1/probe/increment HTTP/1.1", f"Host: 127.0.0.1:{port}", "Content-Length: 0"]
    lines += ["Connection: close"]
    writer.write("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
    status = int((await reader.readline()).split()[1])
    await reader.read()
    writer.close()
    return status, time.perf_counter() - started


async def measure(url: str) -> None:
    os.environ |= {
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DATABASE_URL": url,
        "INSTALLED_APPS": "project,apps.accounts,tests.core.probe",
        "LOG_LEVEL": "WARNING",
    }
    settings = Settings.load()
    await migrate_database(settings.database_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "uvicorn", "project.asgi:app", "--port", str(port), "--no-access-log", "--backlog", "2048"]
    async with Runtime(settings) as runtime:
        await create(runtime.database.engine)
        async with runtime.unit_of_work() as db:
            db.add(Counter(id=1, count=0))
        server = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        try:
            async with asyncio.timeout(SECONDS):
                while True:
                    try:
                        await increment(port)
                        break
                    except OSError:
                        await asyncio.sleep(0.1)
                answers = await asyncio.gather(*(increment(port) for _ in range(COUNT)))
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)
        async with runtime.unit_of_work(write=False) as db:
            count = (await db.execute(select(Counter.count))).scalar_one() - 1
    statuses = Tally(status for status, _ in answers)
    slowest = statistics.quantiles([seconds for _, seconds in answers], n=100)[98]
    kind = "SQLite" if runtime.database.is_sqlite else "PostgreSQL"
    print(f"{kind}: answers {dict(statuses)}, counter {count}, lost {statuses[200] - count}, p99 {slowest:.2f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(f"sqlite:///{folder}/db.sqlite3"))
    for url in sys.argv[1:]:
        asyncio.run(measure(url))
