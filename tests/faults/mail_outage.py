"""A mail server that is down for a minute while people sign up: they notice nothing, and each gets one mail.

Run by hand: .venv/bin/python -m tests.faults.mail_outage [scenario ...]
"""

import asyncio
import statistics
import time
from collections import Counter
from email import message_from_bytes
from functools import partial

import httpx2

from tests.core.mail_server import MailServer, mail_server
from tests.faults.lab import Lab, free_port, lab, until
from tests.faults.processes import Web
from tests.faults.report import Report, run

PEOPLE = 20
OUTAGE_SECONDS = 60
PASSWORD = "a long walk by the sea"

site = partial(lab, ACCOUNTS_SIGNUP="open", ACCOUNTS_SIGNUP_RATE_ADDRESS="100/minute")


async def sign_up(web: Web, names: list[str], pause: float) -> list[tuple[int, float]]:
    """Sign up one after the other; returns what was answered to each, and after how long."""
    seen = []
    async with httpx2.AsyncClient(base_url=web.url, timeout=30, trust_env=False) as client:
        for name in names:
            started = time.perf_counter()
            account = {"email": f"{name}@example.com", "password": PASSWORD}
            answer = await client.post("/api/v1/accounts/users", json=account)
            seen.append((answer.status_code, time.perf_counter() - started))
            client.cookies.clear()
            await asyncio.sleep(pause)
    return seen


async def outage(report: Report, one: Lab, web: Web, port: int) -> None:
    """Five people sign up with the mail server up, twenty while it is down for 60 s."""
    early, people = [f"early{number}" for number in range(5)], [f"person{number}" for number in range(PEOPLE)]
    async with mail_server(None, port) as server:
        usual = await sign_up(web, early, 0.5)
        await until(lambda: len(server.mails) == len(early), 30)
    seen = await sign_up(web, people, OUTAGE_SECONDS / PEOPLE)
    async with mail_server(None, port) as server:
        seconds = await until(lambda: len(server.mails) >= PEOPLE, 180)
        await one.until_ended(30)
        got = recipients(server)
    report.equal("answers", {201}, {status for status, _ in usual + seen})
    normal, median = (statistics.median(taken for _, taken in each) for each in (usual, seen))
    report.at_most(f"median sign-up (before: {normal:.3f} s)", 2 * normal, median)
    report.at_most("slowest sign-up", 1, max(taken for _, taken in seen))
    report.at_most("all mails after the server's return", 60, seconds)
    report.equal("people with one mail", PEOPLE, sum(got[f"{name}@example.com"] == 1 for name in people))
    report.equal("mails", PEOPLE, got.total())


def recipients(server: MailServer) -> Counter[str]:
    """How many mails each address got."""
    return Counter(str(message_from_bytes(mail)["To"]) for mail in server.mails)


async def worker(report: Report) -> None:
    """The mail server is down for 60 s; web, worker, PostgreSQL and Redis."""
    port = free_port()
    async with site("postgresql", redis=True, MAIL_URL=f"smtp://127.0.0.1:{port}") as one:
        await one.worker()
        await outage(report, one, await one.web(), port)


async def embedded(report: Report) -> None:
    """The mail server is down for 60 s; runserver on SQLite."""
    port = free_port()
    async with site("sqlite", redis=False, MAIL_URL=f"smtp://127.0.0.1:{port}") as one:
        await outage(report, one, await one.web(), port)


if __name__ == "__main__":
    run(worker, embedded)
