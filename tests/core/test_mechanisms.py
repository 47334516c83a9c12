"""Quiet mechanisms of the core, each with a test that fails without it."""

import asyncio
import sqlite3
from pathlib import Path

import asyncpg
import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from starlette.requests import HTTPConnection

from apps.accounts.models import User
from project.core.db import outages
from project.core.db.engine import Database
from project.core.db.session import ReadOnlyUnit
from project.core.log import MASK, masked
from project.core.testing.plugin import Databases, MakeSettings
from project.core.web.deps import session
from project.core.web.guard import Guard
from project.core.web.problems import refusal_of


async def test_head_gets_a_unit_that_cannot_write(app: FastAPI) -> None:
    async for db in session(HTTPConnection({"type": "http", "method": "HEAD", "headers": [], "app": app})):
        db.add(User(email="ann@example.com", hashed_password="x"))
        with pytest.raises(ReadOnlyUnit):
            await db.flush()
        db.expunge_all()


@pytest.mark.parametrize(("write", "wait"), [(True, 1200), (False, 3000)])
async def test_sqlite_waits_for_other_processes_and_a_writer_locks_before_it_reads(
    make_settings: MakeSettings, tmp_path: Path, write: bool, wait: int
) -> None:
    database = Database(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3", DB_POOL_TIMEOUT=3))
    async with database.unit_of_work(write=write) as db:
        pragmas = [await db.execute(sa.text(f"PRAGMA {name}")) for name in ("journal_mode", "busy_timeout")]
        assert [each.scalar_one() for each in pragmas] == ["wal", wait]
        another_process = sqlite3.connect(tmp_path / "x.sqlite3", timeout=0, isolation_level=None)
        if write:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                another_process.execute("BEGIN IMMEDIATE")
        another_process.close()
    await database.close()


async def test_whoever_finds_the_pool_empty_is_refused_and_an_error_tells_no_value(
    backend: Databases, make_settings: MakeSettings
) -> None:
    async with backend.copy() as url:
        database = Database(make_settings(DATABASE_URL=url, DB_POOL_SIZE=1, DB_POOL_OVERFLOW=0, DB_POOL_TIMEOUT=0.4))
        async with database.unit_of_work() as db:
            await db.execute(sa.text("SELECT 1"))
            with pytest.raises(PoolTimeout):
                async with asyncio.timeout(5), database.sessions[True]() as another:
                    await another.execute(sa.text("SELECT 1"))
        async with database.sessions[True]() as db:
            db.add_all([User(email="ann@example.com", hashed_password="hash-of-ann") for _ in range(2)])
            with pytest.raises(IntegrityError) as refused:
                await db.flush()
        assert "hash-of-ann" not in str(refused.value)
        await database.close()


async def test_postgresql_ends_what_lasts_too_long(make_settings: MakeSettings, postgresql_url: str) -> None:
    database = Database(make_settings(DATABASE_URL=postgresql_url, DB_STATEMENT_TIMEOUT=0.2))
    for name, value in [("statement_timeout", "200ms"), ("idle_in_transaction_session_timeout", "5200ms")]:
        async with database.unit_of_work(write=False) as db:
            assert (await db.execute(sa.text(f"SHOW {name}"))).scalar_one() == value
    await database.close()


async def test_a_connection_that_has_rested_is_asked_whether_it_still_stands(
    make_settings: MakeSettings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "RESTED", -1)
    database = Database(make_settings(DATABASE_URL=postgresql_url, DB_POOL_SIZE=1, DB_POOL_OVERFLOW=0))
    whose = sa.text("SELECT pg_backend_pid()")
    async with database.unit_of_work(write=False) as db:
        ended = (await db.execute(whose)).scalar_one()
    another = await asyncpg.connect(postgresql_url)
    await another.execute("SELECT pg_terminate_backend($1, 5000)", ended)
    await another.close()
    async with database.unit_of_work(write=False) as db:
        assert (await db.execute(whose)).scalar_one() != ended
    await database.close()


def sent(state: str) -> DBAPIError:
    return DBAPIError("", {}, type("Sent", (Exception,), {"sqlstate": state})())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        *((sent(state), 503) for state in ("08006", "53300", "57014", "40001", "42P01")),
        (sent("22003"), 422),
        (IntegrityError("", {}, Exception("CHECK constraint failed: x")), 422),
        (StaleDataError(), 412),
        (TimeoutError(), 503),
    ],
)
def test_each_kind_of_trouble_has_its_status(error: Exception, status: int) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, "Retry-After" in refusal.headers) == (status, status == 503)


@pytest.mark.parametrize("name", ["pwd", "my_secret", "cookie", "authorization", "api_key", "credential", "dsn", "sid"])
def test_a_named_value_is_masked_by_its_name_and_a_text_wherever_it_stands(name: str) -> None:
    assert masked("outer", {name: "plain", "list": ["a Basic YWJjOmRlZmdo"], "raw": b"password=plain"}) == {
        name: MASK,
        "list": [f"a Basic {MASK}"],
        "raw": f"b'password={MASK}",
    }


async def test_a_page_carries_the_whole_policy(client: httpx2.AsyncClient) -> None:
    headers = (await client.get("/")).headers
    for part in ["default-src 'self'", "img-src 'self' data:", "form-action 'self'", "frame-ancestors 'none'"]:
        assert part in headers["content-security-policy"].split("; ")
    assert (headers["x-frame-options"], "strict-transport-security" in headers) == ("DENY", False)


async def test_the_guard_compares_whole_names_and_whole_origins(app: FastAPI, make_settings: MakeSettings) -> None:
    guard = Guard(app, make_settings(SITE_URL="https://example.com", ALLOWED_HOSTS=["example.org"]))
    for host, origin, passes in [
        ("example.com.", "https://example.com.", True),
        ("evilexample.org", "https://evilexample.org", False),
        ("example.com", "http://example.com", False),
        ("example.com:99999", "https://example.com:99999", False),
    ]:
        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        assert (guard.refusal({"type": "http", "method": "POST", "headers": headers}) is None) is passes, host
