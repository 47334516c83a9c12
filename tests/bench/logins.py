"""What a flood of log-ins costs everybody else: the p99 of other requests, idle and under 32 log-ins at once.

Run by hand: .venv/bin/python -m tests.bench.logins [DATABASE_URL of an empty PostgreSQL database]
Idle and flooded rounds alternate in one run, what counts is the median of the rounds' ratios. Log-ins come from a
process of their own, in a closed loop: whoever is answered, well or not, comes again at once.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from statistics import median, quantiles
from typing import Any

from apps.accounts.manager import HASHER
from apps.accounts.models import User
from project.core import Runtime
from project.core.conf import ROOT
from project.core.db.migrations import migrate_database
from project.settings import Settings
from tests.faults.report import Report

LOGINS, ACCOUNTS, EVERY = 32, 200, 0.02
ROUNDS, SECONDS = int(os.environ.get("ROUNDS", "5")), 4.0
PASSWORD = "a long walk by the sea"
OTHERS = {"health": "/health/live", "page": "/accounts/login", "list": "/api/v1/accounts/users?limit=10"}
BOUND, LONGEST = 2.5, 5.0
MANY = "1000000/minute"
# {what the flood is: (settings, the flood's password)}
FLOODS = {
    "good log-ins, no limits": (MANY, PASSWORD),
    "wrong passwords, no limits": (MANY, "not that one, sorry"),
    "wrong passwords, limits as usual": (None, "not that one, sorry"),
}


class Caller:
    """One connection that is kept: `await caller.send(...)` gives the status and the seconds it took."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: Any = None

    async def send(self, method: str, path: str, body: bytes = b"", *headers: str) -> tuple[int, float]:
        started = time.perf_counter()
        self.streams = self.streams or await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        told = await reader.readuntil(b"\r\n\r\n")
        head = told.lower()
        length = head.split(b"content-length:")[1].split(b"\r\n")[0] if b"content-length:" in head else b"0"
        await reader.readexactly(int(length))
        at = head.find(b"set-cookie: ")
        self.cookie = told[at + 12 :].split(b";")[0].decode() if at > 0 else ""
        if b"connection: close" in head:
            writer.close()
            self.streams = None
        return int(head.split(b" ")[1]), time.perf_counter() - started


def login(number: int, password: str) -> bytes:
    return f'{{"email": "user{number % ACCOUNTS}@example.com", "password": "{password}"}}'.encode()


async def flood(port: int, password: str) -> None:
    """The flooding process: prints what it was answered when it is told to stop."""
    answers: list[tuple[int, float]] = []
    stop = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set_result, None)
    print("it begins", flush=True)

    async def again(number: int) -> None:
        caller = Caller(port)
        while not stop.done():
            number += LOGINS
            answers.append(await caller.send("POST", "/api/v1/accounts/login", login(number, password)))

    tasks = [asyncio.create_task(again(number)) for number in range(LOGINS)]
    await stop
    await asyncio.gather(*tasks)
    print("\n".join(f"{status} {took}" for status, took in answers))


async def measure(port: int, cookie: str, seconds: float) -> dict[str, list[float]]:
    """Other requests, one of each kind at a time, for so long."""
    until, took = time.perf_counter() + seconds, dict[str, list[float]]()

    async def ask(kind: str) -> None:
        caller = Caller(port)
        while time.perf_counter() < until:
            status, spent = await caller.send("GET", OTHERS[kind], b"", f"Cookie: {cookie}")
            assert status in (200, 303), f"{kind}: {status}"
            took.setdefault(kind, []).append(spent)
            await asyncio.sleep(EVERY)

    await asyncio.gather(*map(ask, OTHERS))
    return took


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


async def compare(report: Report, port: int, cookie: str, password: str, rounds: int) -> None:
    p99s: dict[str, list[tuple[float, float]]] = {kind: [] for kind in OTHERS}
    statuses, spent = Counter[int](), list[float]()
    for _ in range(rounds):
        idle = await measure(port, cookie, SECONDS)
        words = [sys.executable, "-m", "tests.bench.logins", "flood", str(port), password]
        pipe = asyncio.subprocess.PIPE
        flooding = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=pipe, env=os.environ)
        assert flooding.stdout is not None
        await flooding.stdout.readline()  # it imports first
        await asyncio.sleep(1)
        busy = await measure(port, cookie, SECONDS)
        flooding.send_signal(signal.SIGTERM)
        for line in (await flooding.communicate())[0].decode().splitlines():
            statuses[int(line.split()[0])] += 1
            spent.append(float(line.split()[1]))
        for kind, pairs in p99s.items():
            pairs.append((p99(idle[kind]) * 1000, p99(busy[kind]) * 1000))
    told = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    for kind, pairs in p99s.items():
        report.note(f"{kind}: p99 idle, flooded (ms)", ", ".join(f"{idle:.0f} {busy:.0f}" for idle, busy in pairs))
        report.at_most(f"{kind}: times its idle p99", BOUND, median(busy / idle for idle, busy in pairs), "")
    report.note("log-ins", f"{told}; p50 {median(spent):.2f} s, p99 {p99(spent):.2f} s")
    report.at_most("longest log-in", LONGEST, max(spent))


async def prepare(url: str) -> None:
    """Tables and people."""
    os.environ["DATABASE_URL"] = url
    settings = Settings.load()
    await migrate_database(settings.database_url)
    hashed = HASHER.hash(PASSWORD)
    async with Runtime(settings) as runtime, runtime.unit_of_work() as db:
        for number in range(ACCOUNTS):
            db.add(User(email=f"user{number}@example.com", hashed_password=hashed, is_verified=True))
        db.add(User(email="staff@example.com", hashed_password=hashed, is_verified=True, is_superuser=True))


async def run(report: Report, rate: str | None, password: str, rounds: int = ROUNDS) -> None:
    limits = {f"ACCOUNTS_LOGIN_RATE_{whose}": rate for whose in ("ACCOUNT", "ADDRESS")} if rate else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    words = ["-m", "uvicorn", "project.asgi:app", "--port", str(port), "--no-access-log", "--no-proxy-headers"]
    words += ["--log-level", "error"]
    server = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=os.environ | limits)  # noqa: ASYNC220
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    if (await Caller(port).send("GET", "/health/live"))[0] == 200:
                        break
                except OSError:
                    await asyncio.sleep(0.1)
        staff = Caller(port)
        body = f'{{"email": "staff@example.com", "password": "{PASSWORD}"}}'.encode()
        assert (await staff.send("POST", "/api/v1/accounts/login", body))[0] == 200
        await compare(report, port, staff.cookie, password, rounds)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def environment(folder: str) -> dict[str, str]:
    """The site's settings, but for its database."""
    return {
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DEBUG": "false",
        "MAIL_URL": "file:",
        "DATA_DIR": folder,
        "SITE_URL": "http://127.0.0.1",
        "LOG_LEVEL": "ERROR",
    }


async def main(url: str) -> None:
    os.environ |= environment(tempfile.mkdtemp())
    await prepare(url)
    report = Report()
    for name, (rate, password) in FLOODS.items():
        report.begin(f"{name}: {LOGINS} at once, {url.partition(':')[0]}")
        report.note("load of the machine before", os.getloadavg())
        await run(report, rate, password)


if __name__ == "__main__":
    if sys.argv[1:2] == ["flood"]:
        asyncio.run(flood(int(sys.argv[2]), sys.argv[3]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(main(f"sqlite:///{folder}/db.sqlite3"))
        for each in sys.argv[1:]:
            asyncio.run(main(each))
