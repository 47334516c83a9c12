"""Admin lists of 1,000,000 rows on PostgreSQL: how long a page takes, from the request to the last byte.

Run by hand: .venv/bin/python -m tests.bench.admin_list [rows] [rounds]; TEST_DATABASE_URL names a PostgreSQL server.
A database of its own is filled, asked in this process (no network, one request at a time) and dropped. What passes
is a median of at most 200 ms wherever an index can serve; the rest is told as it is.
"""

import asyncio
import os
import statistics
import sys
import time
from typing import Any

import httpx2
import sqlalchemy as sa
from fastapi import FastAPI

from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.testing.databases import PostgresDatabases
from project.settings import Settings
from tests.core.library.models import Kept

ROWS, ROUNDS, LIMIT = 1_000_000, 30, 0.2
INSTALLED = [*Settings.model_fields["INSTALLED_APPS"].default, "tests.core.library"]
FILL = """
INSERT INTO library_author (id, name, api_token)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Author ' || n, ''
FROM generate_series(1, 1000) n;
INSERT INTO library_novel (id, title, pages, lent, mood, api_token, file_hash, author_id)
SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, md5(n::text) || ' novel', n % 997, n % 2 = 0,
    'HAPPY', '', '', ('00000000-0000-7000-8000-' || lpad(to_hex(1 + n % 1000), 12, '0'))::uuid
FROM generate_series(1, {rows}) n;
CREATE INDEX ix_library_novel_title ON library_novel (title, id);
"""
TRIGRAMS = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX ix_library_novel_words ON library_novel USING gin (title gin_trgm_ops);
"""
LIST = "/admin/novel/list"


async def run(engine: Any, script: str) -> None:
    """The statements of the script, one by one."""
    async with engine.connect() as connection:
        connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(sa.text("SET statement_timeout = 0"))
        await connection.execute(sa.text("SET default_transaction_read_only = off"))
        for statement in filter(str.strip, script.split(";")):
            await connection.execute(sa.text(statement))


async def measure(client: httpx2.AsyncClient, address: str, rounds: int) -> tuple[float, float]:
    """Median and 95th percentile in seconds."""
    times = []
    for number in range(rounds + 3):
        began = time.perf_counter()
        answer = await client.get(address)
        took = time.perf_counter() - began
        if answer.status_code != 200:
            raise SystemExit(f"{address} answered {answer.status_code}")
        if number >= 3:
            times.append(took)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


async def compare(app: FastAPI, rows: int, rounds: int) -> bool:
    """Fill, ask, tell; whether all that an index can serve was quick enough."""
    engine = app.state.runtime.database.engine
    async with engine.begin() as connection:
        await connection.run_sync(Kept.metadata.create_all)
    await run(engine, FILL.format(rows=rows))
    words = True
    try:
        await run(engine, TRIGRAMS)
    except sa.exc.DBAPIError:
        words = False
    await run(engine, "VACUUM ANALYZE library_novel; VACUUM ANALYZE library_author")
    last = rows // 25
    cases = [
        ("first page", LIST, True),
        ("second page", f"{LIST}?page=2", True),
        ("page in the middle", f"{LIST}?page={last // 2}", True),
        ("last page", f"{LIST}?page={last}", True),
        ("sorted by an indexed column", f"{LIST}?sortBy=title&sort=asc", True),
        ("the same downwards, page 400", f"{LIST}?sortBy=title&sort=desc&page=400", True),
        ("the same, page in the middle", f"{LIST}?sortBy=title&sort=asc&page={last // 2}", True),
        ("searched, many found", f"{LIST}?search=novel", True),
        ("searched, one found, trigram index", f"{LIST}?search=c4ca4238a0b9", words),
        ("details", f"/admin/novel/details/00000000-0000-7000-8000-{rows // 2:012x}", True),
        ("the index with its counts", "/admin/", True),
        ("sorted by a column without an index", f"{LIST}?sortBy=pages&sort=asc", False),
    ]
    passed = True
    print(f"{rows:,} rows, {rounds} rounds, trigram index: {'yes' if words else 'not available'}")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1:8000") as client:
        await sign_in_as(client, app, await add_user(app, is_staff=True, is_superuser=True))
        for name, address, bound in cases:
            median, slow = await measure(client, address, rounds)
            passed &= median <= LIMIT or not bound
            verdict = "" if median <= LIMIT else "  too slow" if bound else "  (not bound)"
            print(f"{name:<38} p50 {median * 1000:7.1f} ms   p95 {slow * 1000:7.1f} ms{verdict}", flush=True)
    async with engine.connect() as connection:
        began = time.perf_counter()
        await connection.execute(sa.text("SELECT count(*) FROM library_novel"))
        print(f"for comparison, SELECT count(*) alone: {(time.perf_counter() - began) * 1000:.0f} ms")
    return passed


async def main() -> None:
    """The whole comparison; exits with 1 when something an index can serve was too slow."""
    given = [int(each) for each in sys.argv[1:]]
    rows, rounds = (given + [ROWS, ROUNDS][len(given) :])[:2]
    databases = PostgresDatabases(os.environ.get("TEST_DATABASE_URL", "postgresql://postgres@127.0.0.1/postgres"))
    await databases.open()
    try:
        async with databases.copy() as url:
            options: Any = {
                "_env_file": None,
                "SECRET_KEY": os.urandom(32).hex(),
                "DATABASE_URL": url,
                "DB_STATEMENT_TIMEOUT": 300,
            }
            app = create_app(Settings(INSTALLED_APPS=INSTALLED, LOG_LEVEL="WARNING", **options))
            async with app.router.lifespan_context(app):
                passed = await compare(app, rows, rounds)
    finally:
        await databases.close()
    raise SystemExit(not passed)


if __name__ == "__main__":
    asyncio.run(main())
