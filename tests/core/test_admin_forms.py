"""Saving in the admin: what is added, changed, refused, and told in one sentence."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from apps.accounts.testing import add_user, sign_in_as
from project.core import ModelAdmin
from project.core.testing.plugin import NewClient
from tests.core.shelf.admin import SAVE, SHELF, alert, with_shelf
from tests.core.shelf.models import Book, Mood, Shelf, Writer, titles

pytestmark = pytest.mark.any_database


async def test_a_book_is_added_changed_and_deleted(staff: httpx2.AsyncClient, db: AsyncSession) -> None:
    data = {"title": "Emma", "pages": "400", "mood": "SAD", "printed_at": "1815-12-23 10:00:00"} | SAVE
    added = await staff.post("/admin/book/create", data=data)
    assert (added.status_code, added.headers["location"].endswith("/admin/book/list")) == (302, True)
    book = (await db.exec(select(Book))).one()
    assert (book.mood, book.printed_at) == (Mood.SAD, datetime(1815, 12, 23, 10, tzinfo=UTC))
    assert (await staff.post(f"/admin/book/edit/{book.id}", data=data | {"title": "Emma 2"})).status_code == 302
    assert await titles(db) == ["Emma 2"]
    gone = await staff.delete(f"/admin/book/delete?pks={book.id}")
    assert (gone.status_code, gone.text.endswith("/admin/book/list")) == (200, True)
    assert await titles(db) == []


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        ({"title": "ab"}, 422, "Title: Use at least 3 characters."),
        ({"title": "banned"}, 422, "Title: Nobody may write this."),
        ({"title": "Far", "pages": "9" * 40}, 422, "Some of the data cannot be stored as it is."),
        ({"title": "Nul\x00", "pages": "1"}, 422, "Some of the data cannot be stored as it is."),
    ],
)
async def test_a_refused_form_says_why_in_one_sentence(
    staff: httpx2.AsyncClient, db: AsyncSession, data: dict[str, str], status: int, words: str
) -> None:
    if "\x00" in data["title"] and db.get_bind().dialect.name == "sqlite":
        words = ""  # SQLite stores it
        status = 302
    answer = await staff.post("/admin/book/create", data={"mood": "HAPPY"} | data | SAVE)
    assert (answer.status_code, alert(answer)) == (status, words)
    assert not re.search("INSERT|sqlalchemy|Traceback", answer.text)


async def test_a_second_one_is_refused_without_sql(staff: httpx2.AsyncClient) -> None:
    assert (await staff.post("/admin/writer/create", data={"name": "Ann"} | SAVE)).status_code == 302
    answer = await staff.post("/admin/writer/create", data={"name": "Ann"} | SAVE)
    assert (answer.status_code, alert(answer)) == (409, "Name: There is one like this already.")
    assert not re.search("INSERT|sqlalchemy|UNIQUE|uq_", answer.text)
    assert 'value="Ann"' in answer.text


async def test_a_lone_foreign_key_has_a_field(staff: httpx2.AsyncClient, db: AsyncSession) -> None:
    page = (await staff.get("/admin/book/create")).text
    assert 'name="follows_id"' in page
    assert 'name="writer_id"' not in page  # the relationship has a field
    assert 'name="id"' not in page


async def test_a_bug_is_an_error_page_without_its_innards(staff: httpx2.AsyncClient) -> None:
    answer = await staff.post("/admin/book/create", data={"title": "broken", "mood": "HAPPY"} | SAVE)
    assert answer.status_code == 500
    assert "innards" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


@pytest.fixture
async def live_staff(live_app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    async with live_app.state.runtime.unit_of_work() as db:
        await (await db.connection()).run_sync(Shelf.metadata.create_all)
    client = new_client(with_shelf(live_app))
    await sign_in_as(client, live_app, await add_user(live_app, "staff@example.com", is_staff=True, permissions=SHELF))
    return client


async def test_a_commit_that_fails_is_no_success(live_staff: httpx2.AsyncClient, live_app: FastAPI) -> None:
    data = {"title": "Emma", "mood": "HAPPY", "follows_id": str(uuid4())} | SAVE
    answer = await live_staff.post("/admin/book/create", data=data)
    assert answer.status_code == 409
    assert alert(answer).startswith("This refers to something that is not there")
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        assert await titles(db) == []


async def test_rows_with_their_relations_are_saved_on_a_real_database(
    live_staff: httpx2.AsyncClient, live_app: FastAPI
) -> None:
    """SQLite has one writer: two sessions in one request would wait for each other."""
    for title in ("Emma", "Persuasion"):
        assert (
            await live_staff.post("/admin/book/create", data={"title": title, "mood": "HAPPY"} | SAVE)
        ).status_code == 302
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        books = [str(book.id) for book in (await db.exec(select(Book))).all()]
    data = {"name": "Jane", "books": books} | SAVE
    assert (await live_staff.post("/admin/writer/create", data=data)).status_code == 302
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        writer = (await db.exec(select(Writer))).one()
    for data["books"] in (books[:1], ["not an id"]):
        answer = await live_staff.post(f"/admin/writer/edit/{writer.id}", data=data)
        assert answer.status_code == (302 if data["books"] == books[:1] else 422)
    assert "Emma" in (await live_staff.get(f"/admin/writer/edit/{writer.id}")).text
    assert "Jane" in (await live_staff.get(f"/admin/book/edit/{books[0]}")).text


async def test_looking_cannot_write(live_staff: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def careless(self: ModelAdmin, request: Request) -> dict[str, Any]:
        async with self.session_maker() as db:
            db.add(Book(title="Slipped in"))
            await db.commit()
        return {}

    monkeypatch.setattr(ModelAdmin, "list_context", careless)
    assert (await live_staff.get("/admin/book/list")).status_code >= 500
    monkeypatch.undo()
    assert "Slipped in" not in (await live_staff.get("/admin/book/list")).text
