"""How long each class of account is answered: paired medians against an address nobody has, in real HTTP.

Run by hand: .venv/bin/python -m tests.bench.enumeration [DATABASE_URL of an empty PostgreSQL database]
"""

import asyncio
import itertools
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import httpx2

from apps.accounts.manager import HASHER
from apps.accounts.models import User
from project.core import Runtime
from project.core.conf import ROOT
from project.core.db.migrations import migrate_database
from project.settings import Settings

PAIRS = 100
SECONDS = 60
API = "/api/v1/accounts"
PASSWORD = "correct horse battery"
CLASSES: dict[str, dict[str, Any]] = {
    "known": {"is_verified": True},
    "inactive": {"is_verified": True, "is_active": False},
    "unverified": {},
}
DOORS = {"sign-up": "users", "forgot": "password/forgot", "verify": "verify/request", "log-in": "login"}
MANY = "1000000/minute"


async def ask(client: httpx2.AsyncClient, door: str, email: str) -> float:
    """One request; returns how long it took, in milliseconds."""
    started = time.perf_counter()
    answer = await client.post(f"{API}/{DOORS[door]}", json={"email": email, "password": "not that one, sorry"})
    took = (time.perf_counter() - started) * 1000
    assert answer.status_code == (422 if door == "log-in" else 202), answer.text
    return took


def interval(differences: list[float]) -> tuple[float, float]:
    """The 95 % interval of the median difference, by bootstrap."""
    draws = sorted(statistics.median(random.choices(differences, k=len(differences))) for _ in range(2000))
    return draws[50], draws[1949]


async def compare(client: httpx2.AsyncClient, door: str, kind: str, nobody: "itertools.count[int]") -> str:
    """Ask about the class and about nobody by turns, each first half of the time."""
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(PAIRS):
        emails = [(True, f"{kind}{number}@example.com"), (False, f"nobody{next(nobody)}@example.com")]
        for known, email in emails if number % 2 else reversed(emails):
            taken[known].append(await ask(client, door, email))
    medians = [statistics.median(taken[known]) for known in (True, False)]
    low, high = interval([one - other for one, other in zip(taken[True], taken[False], strict=True)])
    room = max(5.0, medians[1] / 10)
    apart = "TOLD APART" if low > 0 or high < 0 else "unclear, the machine was busy"
    verdict = "alike" if -room < low and high < room else apart
    return (
        f"  {door:8} {kind:10} {medians[0]:7.2f} ms, nobody {medians[1]:7.2f} ms, "
        f"difference {low:+.2f} to {high:+.2f} ms: {verdict}"
    )


async def measure(url: str) -> None:
    os.environ |= {
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DATABASE_URL": url,
        "DEBUG": "false",
        "MAIL_URL": "file:",
        "DATA_DIR": tempfile.mkdtemp(),
        "SITE_URL": "http://127.0.0.1",
        "LOG_LEVEL": "WARNING",
        **{f"ACCOUNTS_{name}": MANY for name in ("MAIL_RATE_ACCOUNT", "MAIL_RATE_ADDRESS", "SIGNUP_RATE_ADDRESS")},
        **{f"ACCOUNTS_{name}": MANY for name in ("LOGIN_RATE_ACCOUNT", "LOGIN_RATE_ADDRESS")},
    }
    settings = Settings.load()
    await migrate_database(settings.database_url)
    hashed = HASHER.hash(PASSWORD)
    async with Runtime(settings) as runtime, runtime.unit_of_work() as db:
        for kind, values in CLASSES.items():
            for number in range(PAIRS):
                db.add(User(email=f"{kind}{number}@example.com", hashed_password=hashed, **values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["-m", "uvicorn", "project.asgi:app", "--port", str(port), "--no-access-log"]
    server = subprocess.Popen([sys.executable, *words], cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    print("SQLite" if runtime.database.is_sqlite else "PostgreSQL", "with jobs in the web process:")
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
            async with asyncio.timeout(SECONDS):
                while True:
                    try:
                        await client.get("/health/live")
                        break
                    except httpx2.TransportError:
                        await asyncio.sleep(0.1)
            nobody = itertools.count()
            for door in DOORS:
                for kind in CLASSES:
                    print(await compare(client, door, kind, nobody), flush=True)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(f"sqlite:///{folder}/db.sqlite3"))
    for url in sys.argv[1:]:
        asyncio.run(measure(url))
