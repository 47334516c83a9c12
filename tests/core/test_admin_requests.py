"""Odd requests to the admin, its search, its actions and its exports."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from html import unescape
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from project.core import ModelAdmin
from project.core.admin.site import Site
from project.core.errors import ConfigurationError
from tests.core.shelf.admin import SAVE, BookAdmin
from tests.core.shelf.models import AddBook, titles

pytestmark = pytest.mark.any_database


@pytest.mark.parametrize(
    "id_", ["abc", "9" * 30, "00000000-0000-7000-8000-000000000000", "a/b", "%00", "%25", "'", "1;2"]
)
async def test_an_id_that_is_not_there_is_a_404(staff: httpx2.AsyncClient, id_: str) -> None:
    for answer in (
        await staff.get(f"/admin/book/details/{id_}"),
        await staff.get(f"/admin/book/edit/{id_}"),
        await staff.post(f"/admin/book/edit/{id_}", data={"title": "Dune"} | SAVE),
        await staff.delete(f"/admin/book/delete?pks={id_.replace(';', '%3B')}"),
        await staff.get(f"/admin/nothing/details/{id_}"),
    ):
        assert answer.status_code == 404
        assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize("way", ["nothing/list", "nothing/create", "nothing/export/csv", "book/export/xml", "x/y/z"])
async def test_an_unknown_address_is_a_404(staff: httpx2.AsyncClient, way: str) -> None:
    assert (await staff.get(f"/admin/{way}")).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "page=abc",
        f"page={'9' * 6000}",
        "page=-1",
        "page=0",
        "pageSize=0",
        "pageSize=-5",
        f"pageSize={'9' * 40}",
        "sortBy=nothing",
        "sortBy=title&sort=sideways",
        "search=%00",
        "search=%F0%9F%98%80",
        f"search={'x' * 5000}",
        "pages=abc&pages_op=equals",
        f"pages={'9' * 60}&pages_op=equals",
        "pages=1&pages_op=nothing",
        "writer_id=abc",
        "writer_id=%00",
        "printed_at=2026&printed_at_op=greater_than",
        "printed_at=2026-01-01T00:00:00&printed_at_op=equals",
    ],
)
async def test_an_odd_query_is_never_a_500(staff: httpx2.AsyncClient, add_book: AddBook, query: str) -> None:
    await add_book()
    assert (await staff.get(f"/admin/book/list?{query}")).status_code < 500


async def test_an_errors_words_come_from_the_site_and_not_from_the_address(staff: httpx2.AsyncClient) -> None:
    answer = await staff.get("/admin/book/list?error=Call+0900&page=1")
    assert answer.status_code == 303
    assert "error" not in answer.headers["location"]


async def test_rows_are_deleted_all_or_none(staff: httpx2.AsyncClient, add_book: AddBook, db: AsyncSession) -> None:
    book = await add_book()
    assert (await staff.delete(f"/admin/book/delete?pks={book.id},{uuid4()}")).status_code == 404
    assert (await staff.delete("/admin/book/delete")).status_code == 400
    assert await titles(db) == ["Dune"]


async def test_search_takes_its_words_literally(staff: httpx2.AsyncClient, add_book: AddBook) -> None:
    for title in ("100% wool", "snake_case", "back\\slash", "plain"):
        await add_book(title)
    for term, found in (("%25", "100% wool"), ("_", "snake_case"), ("\\", "back\\slash"), ("PLAIN", "plain")):
        page = (await staff.get(f"/admin/book/list?search={term}")).text
        assert [title for title in ("100% wool", "snake_case", "back\\slash", "plain") if title in page] == [found]
        looked_up = (await staff.get(f"/admin/writer/ajax/lookup?name=books&term={term}")).json()["results"]
        assert [each["text"] for each in looked_up] == [found]


async def test_an_action_runs_by_post_only(staff: httpx2.AsyncClient, add_book: AddBook, db: AsyncSession) -> None:
    book = await add_book()
    url = f"/admin/book/action/shout?pks={book.id}"
    assert (await staff.get(url)).status_code == 405
    assert await titles(db) == ["Dune"]
    answer = await staff.post(url)
    assert (answer.status_code, answer.headers["location"].endswith("/admin/book/list")) == (303, True)
    assert await titles(db) == ["DUNE"]


async def test_no_rows_are_imported_where_nobody_said_so(staff: httpx2.AsyncClient) -> None:
    assert "/book/import" not in (await staff.get("/admin/book/list")).text
    answer = await staff.post("/admin/book/import", data={"kept": "dGl0bGUKRW1tYQ=="})
    assert answer.status_code == 403


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_a_spreadsheet_reads_no_formula(staff: httpx2.AsyncClient, add_book: AddBook, start: str) -> None:
    await add_book(f'{start}HYPERLINK("x,y")', printed_at=datetime(2026, 5, 31, tzinfo=UTC))
    answer = await staff.get("/admin/book/export/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    header, row = csv.reader(io.StringIO(answer.text, newline=""))
    assert header == ["title", "pages", "mood", "printed_at"]
    assert row == [f'\'{start}HYPERLINK("x,y")', "0", "happy", "2026-05-31T00:00:00+00:00"]


async def test_an_export_has_the_rows_that_are_listed_in_their_order(
    staff: httpx2.AsyncClient, add_book: AddBook
) -> None:
    for title, pages in (("Emma", 3), ("Emily", 3), ("Emil", 9), ("Dune", 3)):
        await add_book(title, pages=pages)
    query = "search=em&pages=3&pages_op=equals&sortBy=title&sort=desc&pageSize=10"
    page = (await staff.get(f"/admin/book/list?{query}")).text
    (address,) = re.findall(r'href="([^"]*/export/json[^"]*)"', page)
    rows = json.loads((await staff.get(unescape(address))).text)
    assert [row["title"] for row in rows] == ["Emma", "Emily"]
    assert (await staff.get("/admin/book/export/csv?sortBy=api_token")).status_code == 400


async def test_the_json_export_is_json_and_bounded(
    staff: httpx2.AsyncClient, add_book: AddBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    for title in ("=A", "B", "C"):
        await add_book(title)
    rows = json.loads((await staff.get("/admin/book/export/json")).text)
    assert {row["title"] for row in rows} == {"=A", "B", "C"}
    assert 0 < BookAdmin.export_max_rows <= 10_000
    monkeypatch.setattr(BookAdmin, "export_max_rows", 2)
    assert len(json.loads((await staff.get("/admin/book/export/json")).text)) == 2


async def test_a_second_app_with_a_model_of_the_same_name_has_an_address_of_its_own(shared_app: FastAPI) -> None:
    admin = Site(FastAPI(), shared_app.state.runtime)
    for app in ("shelf", "attic"):
        admin.add_view(BookAdmin, app)
    assert [view.identity for view in admin.views] == ["book", "attic-book"]
    with pytest.raises(ConfigurationError, match=r"at /admin/attic-book: write `BookAdmin.identity"):
        admin.add_view(BookAdmin, "attic")


async def test_a_view_of_two_sites_asks_each_sites_own_database(shared_app: FastAPI) -> None:
    first, second = (Site(FastAPI(), shared_app.state.runtime) for _ in range(2))
    first.add_view(BookAdmin)
    second.add_view(BookAdmin)
    view = first.views[0]
    assert isinstance(view, ModelAdmin)
    assert view.session_maker is first.session_maker
