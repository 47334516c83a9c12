"""What the database is asked is counted: slow statements are logged, a query for each row fails its test."""

import logging
import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import selectinload
from sqlmodel import select

from project.core import DB, AsyncSession, Runtime
from project.core.db import recording
from project.core.db.recording import KEPT, recorded
from project.core.log import CONTEXT
from project.core.testing.budgets import MOST, query_budget
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from tests.core.library.models import Author, Genre, Novel

pytestmark = pytest.mark.any_database

SECRET = "hunter2-hunter2"


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """The slow queries that are logged; each statement takes a second."""
    monkeypatch.setattr(recording, "perf_counter", count().__next__)
    found: list[dict[str, Any]] = []

    def emit(record: logging.LogRecord) -> None:
        assert isinstance(record.msg, dict)
        found.append(record.msg | {each.name: each.get() for each in CONTEXT})  # as the handler of the site does

    monkeypatch.setattr(caplog.handler, "emit", emit)
    with caplog.at_level(logging.WARNING, recording.__name__):
        yield found


async def by_name(name: str, db: DB) -> int:
    """Count the authors of that name."""
    return len((await db.exec(select(Author).where(Author.name == name))).all())


async def test_a_slow_statement_is_logged_with_its_route_and_line_and_without_its_values(
    library: FastAPI, librarian: httpx2.AsyncClient, slow: list[dict[str, Any]]
) -> None:
    library.get("/authors/{name}")(by_name)
    answer = await librarian.get(f"/authors/{SECRET}")
    assert answer.json() == 0
    (told,) = [each for each in slow if "FROM library_author" in each["sql"]]
    assert (told["event"], told["level"], told["route"]) == ("slow query", "warning", "GET /authors/{name}")
    assert (told["ms"], told["request_id"]) == (1000, answer.headers["x-request-id"])
    assert re.fullmatch(r"tests/core/test_recording\.py:\d+", told["place"])
    assert SECRET not in str(slow)


async def test_a_slow_statement_of_a_job_is_logged_with_its_id(
    client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox, slow: list[dict[str, Any]]
) -> None:
    await client.post("/api/v1/accounts/users", json={"email": "ann@example.com", "password": "a long enough one"})
    slow.clear()
    await jobs.run()
    ran = {str(job.id) for job in await jobs.all()}
    assert ran == {each["job_id"] for each in slow} - {""}


@pytest.mark.parametrize(("slowest", "logged"), [(1000, 1), (1001, 0), (0, 0)])
async def test_how_slow_is_a_setting_and_what_failed_was_slow_too(
    backend: Databases, make_settings: MakeSettings, slow: list[dict[str, Any]], slowest: int, logged: int
) -> None:
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, SLOW_QUERY_MS=slowest)) as app:
        for sql, errors in (("SELECT 1 AS well", ()), ("SELECT nothing FROM nowhere", DBAPIError)):
            slow.clear()
            try:
                async with app.state.runtime.unit_of_work(write=False) as db:
                    await db.execute(text(sql))
            except errors:
                pass
            assert len([each for each in slow if each["sql"] == sql]) == logged


async def test_an_answer_tells_its_times_in_development_only(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient, client: httpx2.AsyncClient
) -> None:
    assert "server-timing" not in (await client.get("/health/ready")).headers
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, DEBUG=True)) as app:
        for path, queries in (("/health/ready", "[1-9]"), ("/_dev/ui/streams/one", "0")):
            told = (await new_client(app).get(path)).headers["server-timing"]
            assert re.fullmatch(rf'app;dur=[\d.]+, sql;dur=[\d.]+;desc="{queries}\d* queries"', told)


async def test_a_stream_that_never_ends_keeps_no_more_than_a_few_statements(runtime: Runtime) -> None:
    with recorded() as asked:
        async with runtime.unit_of_work() as db:
            for _ in range(KEPT + 5):
                await db.execute(text("SELECT 1"))
    assert (len(asked.statements), asked.count > KEPT) == (KEPT, True)


async def of_each(db: AsyncSession, way: str) -> None:
    """Look at all novels, one query for each of them, in one of three ways; or in one query for all."""
    whole = select(Novel).options(selectinload(Novel.genres)) if way == "together" else select(Novel)  # type: ignore[arg-type]
    for novel in (await db.exec(whole)).all():
        match way:
            case "relationship":
                await db.run_sync(lambda _: list(novel.genres))  # noqa: B023 - it is awaited at once
            case "rows":
                await db.exec(select(Author).where(Author.id == novel.author_id))
            case "writes":
                db.add(Genre(name=novel.title))
                await db.flush()
            case "together":
                assert novel.genres == []


@pytest.fixture
async def shelves(library: FastAPI) -> str:
    """Where six novels are looked at in the way that is named."""

    async def look(way: str, db: DB) -> None:
        await of_each(db, way)

    library.post("/shelves/{way}")(look)
    async with library.state.runtime.unit_of_work() as db:
        db.add_all([Novel(title=f"Novel {number}") for number in range(MOST + 1)])
    return "/shelves"


@pytest.mark.parametrize(
    ("way", "about"), [("relationship", " for Novel.genres"), ("rows", " for Author"), ("writes", "")]
)
async def test_one_query_for_each_row_fails_the_test_and_says_where(
    librarian: httpx2.AsyncClient, shelves: str, way: str, about: str
) -> None:
    with pytest.raises(pytest.fail.Exception) as failed:
        await librarian.post(f"{shelves}/{way}")
    said = str(failed.value)
    assert said.startswith(f"POST /shelves/{{way}} runs one statement {MOST + 1} times{about} in tests/core/test_rec")
    assert re.search(r"\n(SELECT|INSERT INTO) .*library_(genre|author)", said)
    with query_budget(MOST + 1):
        assert (await librarian.post(f"{shelves}/{way}")).status_code == 200


async def test_one_query_for_all_rows_is_well(librarian: httpx2.AsyncClient, shelves: str) -> None:
    with recorded() as asked:
        assert (await librarian.post(f"{shelves}/together")).status_code == 200
    assert [each.loads for each in asked.statements if "genre" in each.sql] == ["Novel.genres"]


async def test_recordings_nest_and_end(runtime: Runtime) -> None:
    with recorded() as outer, recorded() as inner:
        async with runtime.unit_of_work() as db:
            await db.execute(text("SELECT 1"))
    assert inner.statements
    assert (outer.statements, outer.count) == (inner.statements, inner.count)
    assert recording.current.get() is None
