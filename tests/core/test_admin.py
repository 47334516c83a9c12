"""The admin: who gets in, what is shown, and what a bad request meets there."""

import csv
import io
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field as Rule
from sqladmin import ModelView, action
from sqladmin.filters import AllUniqueStringValuesFilter, ForeignKeyFilter, OperationColumnFilter
from sqlalchemy import Column, ForeignKey, MetaData, Uuid
from sqlmodel import Field, Relationship, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount

from apps.accounts.testing import SignIn, add_user, every, sign_in_as
from project.core import Invalid, ModelAdmin
from project.core.admin.site import Site
from project.core.errors import ConfigurationError
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.web import problems

pytestmark = pytest.mark.any_database

SAVE = {"save": "Save"}
SHELF = every("shelf.book", "shelf.writer")


class Shelf(SQLModel):
    """These tables are the tests' own, unknown to the migrations."""

    metadata = MetaData(naming_convention=SQLModel.metadata.naming_convention)

    id: UUID = Field(default_factory=uuid4, primary_key=True)


class Mood(StrEnum):
    HAPPY = "happy"
    SAD = "sad"


class Writer(Shelf, table=True):
    __tablename__ = "test_writer"
    name: str = Field(max_length=40, unique=True)
    books: list["Book"] = Relationship(back_populates="writer")

    def __str__(self) -> str:
        return self.name


class Book(Shelf, table=True):
    __tablename__ = "test_book"
    title: str = Field(max_length=100)
    pages: int = 0
    mood: Mood = Mood.HAPPY
    api_token: str = "hush-token"
    file: str = ""
    printed_at: datetime | None = None
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    writer_id: UUID | None = Field(default=None, foreign_key="test_writer.id")
    writer: Writer | None = Relationship(back_populates="books")
    follows_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("test_book.id", deferrable=True, initially="DEFERRED")),
    )

    def __str__(self) -> str:
        return self.title


class BookForm(BaseModel):
    title: str = Rule(min_length=3)


class BookAdmin(ModelAdmin, model=Book):
    column_list = [Book.title, Book.pages, Book.mood, Book.printed_at, Book.api_token]
    column_searchable_list = [Book.title, Book.api_token, "writer.name"]
    column_sortable_list = [Book.title, Book.api_token]
    column_filters = [
        OperationColumnFilter("pages"),
        OperationColumnFilter("printed_at"),
        ForeignKeyFilter("writer_id", "name", foreign_model=Writer),
        AllUniqueStringValuesFilter("api_token"),
    ]
    schema = BookForm

    async def on_model_change(self, data: dict[str, Any], model: Book, is_created: bool, request: Request) -> None:
        if data["title"] == "broken":
            raise RuntimeError("a bug with its innards")
        if data["title"] == "banned":
            raise Invalid("Nobody may write this.", field="title")

    @action("shout", "Shout", "Really?")
    async def shout(self, request: Request) -> Response:
        async with self.session_maker() as db:
            for pk in request.query_params["pks"].split(","):
                book = await db.get_one(Book, UUID(pk))
                book.title = book.title.upper()
            await db.commit()
        return RedirectResponse(request.url_for("admin:list", identity=self.identity))


class WriterAdmin(ModelView, model=Writer):
    """A view pasted in from SQLAdmin's own docs."""

    column_list = ["name"]
    form_ajax_refs = {"books": {"fields": ("title", "api_token")}}


def with_shelf(app: FastAPI) -> FastAPI:
    """The same site with an admin for the tests' own tables."""
    routes = [route for route in app.router.routes if not (isinstance(route, Mount) and route.path == "/admin")]
    site = FastAPI(routes=routes)
    site.user_middleware = app.user_middleware
    site.state = app.state
    problems.install(site)
    admin = Site(site, app.state.runtime)
    admin.add_view(BookAdmin, "shelf")
    admin.add_view(WriterAdmin, "shelf")
    return site


@pytest.fixture
async def shelf(app: FastAPI, db: AsyncSession) -> FastAPI:
    await (await db.connection()).run_sync(Shelf.metadata.create_all)
    await db.commit()
    return with_shelf(app)


@pytest.fixture
async def staff(shelf: FastAPI, new_client: NewClient, sign_in: SignIn) -> httpx2.AsyncClient:
    """A client of somebody who is staff, no superuser, and may do everything on the shelf."""
    client = new_client(shelf)
    await sign_in("staff@example.com", into=client, is_staff=True, permissions=SHELF)
    return client


AddBook = Callable[..., Awaitable[Book]]


@pytest.fixture
def add_book(db: AsyncSession) -> AddBook:
    async def add(title: str = "Dune", **values: Any) -> Book:
        book = Book(title=title, **values)
        db.add(book)
        await db.commit()
        return book

    return add


async def titles(db: AsyncSession) -> list[str]:
    return sorted((await db.exec(select(Book.title))).all())


def alert(answer: httpx2.Response) -> str:
    found = re.search(r'class="alert alert-danger"[^>]*>([^<]*)<', answer.text)
    return found[1] if found else ""


# Who gets in

DOORS = [
    ("GET", "/admin/"),
    ("GET", "/admin/login"),
    ("POST", "/admin/login"),
    ("GET", "/admin/logout"),
    ("GET", "/admin/nowhere"),
    ("GET", "/admin/book/list"),
    ("GET", "/admin/book/create"),
    ("POST", "/admin/book/create"),
    ("GET", "/admin/book/details/{id}"),
    ("GET", "/admin/book/edit/{id}"),
    ("POST", "/admin/book/edit/{id}"),
    ("DELETE", "/admin/book/delete?pks={id}"),
    ("GET", "/admin/book/export/csv"),
    ("POST", "/admin/book/import"),
    ("GET", "/admin/writer/ajax/lookup?name=books&term=D"),
    ("POST", "/admin/book/action/shout?pks={id}"),
    ("GET", "/admin/book/{id}/file/download/"),
    ("GET", "/admin/book/{id}/file/preview/"),
]


@pytest.mark.parametrize(("method", "path"), DOORS)
async def test_every_door_sends_strangers_to_the_log_in_page_and_others_away(
    shelf: FastAPI, new_client: NewClient, sign_in: SignIn, add_book: AddBook, db: AsyncSession, method: str, path: str
) -> None:
    client = new_client(shelf)
    url = path.format(id=(await add_book()).id)
    stranger = await client.request(method, url)
    assert stranger.status_code == 303
    assert stranger.headers["location"].startswith("/accounts/login")
    assert ("next=/admin/" in stranger.headers["location"]) == (method == "GET")
    await sign_in("bob@example.com", into=client)
    refused = await client.request(method, url)
    assert refused.status_code == 403
    assert "The admin is for staff." in refused.text
    assert "Dune" not in stranger.text + refused.text
    assert await titles(db) == ["Dune"]


async def test_staff_who_are_demoted_or_deactivated_are_out_at_once(
    staff: httpx2.AsyncClient, db: AsyncSession
) -> None:
    from apps.accounts.models import User

    assert (await staff.get("/admin/")).status_code == 200
    user = (await db.exec(select(User))).one()
    user.is_staff = False
    await db.commit()
    assert (await staff.get("/admin/")).status_code == 403
    user.is_staff, user.is_active = True, False
    await db.commit()
    assert (await staff.get("/admin/")).status_code == 303


async def test_a_script_without_a_session_is_refused_and_not_redirected(shelf: FastAPI, new_client: NewClient) -> None:
    answer = await new_client(shelf).request(
        "DELETE", "/admin/book/delete?pks=1", headers={"X-Requested-With": "XMLHttpRequest"}
    )
    assert answer.status_code == 403
    assert "Log in to continue." in answer.text


async def test_the_look_of_the_admin_is_open_and_may_be_cached(shelf: FastAPI, new_client: NewClient) -> None:
    answer = await new_client(shelf).get("/admin/statics/css/main.css")
    assert answer.status_code == 200
    assert "max-age" in answer.headers["cache-control"]


async def test_there_is_no_second_log_in_form_and_no_log_out_by_a_link(staff: httpx2.AsyncClient) -> None:
    answer = await staff.get("/admin/login")
    assert (answer.status_code, answer.headers["location"].endswith("/admin/")) == (303, True)
    assert (await staff.get("/admin/logout")).status_code == 405
    assert "Back to site" in (await staff.get("/admin/")).text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/book/create"),
        ("POST", "/admin/book/edit/{id}"),
        ("DELETE", "/admin/book/delete?pks={id}"),
        ("POST", "/admin/book/action/shout?pks={id}"),
    ],
)
async def test_another_sites_page_changes_nothing(
    staff: httpx2.AsyncClient, add_book: AddBook, db: AsyncSession, method: str, path: str
) -> None:
    url = path.format(id=(await add_book()).id)
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        answer = await staff.request(method, url, data={"title": "Forged"} | SAVE, headers=headers)
        assert answer.status_code == 403
    assert await titles(db) == ["Dune"]


# What is shown


async def test_a_secret_is_nowhere(staff: httpx2.AsyncClient, add_book: AddBook) -> None:
    book = await add_book()
    for path in (
        "list",
        f"details/{book.id}",
        f"edit/{book.id}",
        "create",
        "export/csv",
        "export/json",
        "list?search=hush",
    ):
        answer = await staff.get(f"/admin/book/{path}")
        assert answer.status_code == 200
        assert not re.search("hush-token|api_token|Api token", answer.text), path
    assert "Dune" in (await staff.get("/admin/book/list?api_token=nothing")).text
    assert (await staff.get("/admin/book/list?sortBy=api_token")).status_code == 400
    assert "Dune" not in (await staff.get("/admin/book/list?search=hush")).text
    found = await staff.get("/admin/writer/ajax/lookup?name=books&term=hush")
    assert found.json() == {"results": []}
    assert len((await staff.get("/admin/writer/ajax/lookup?name=books&term=Dun")).json()["results"]) == 1


async def test_what_is_not_in_the_form_is_not_read_from_it(
    staff: httpx2.AsyncClient, add_book: AddBook, db: AsyncSession
) -> None:
    book = await add_book()
    when = book.created_at
    sent = {"title": "Dune II", "mood": "HAPPY", "api_token": "mine", "created_at": "2001-01-01 00:00:00"} | SAVE
    assert (await staff.post(f"/admin/book/edit/{book.id}", data=sent)).status_code == 302
    await db.refresh(book)
    assert (book.title, book.api_token, book.created_at) == ("Dune II", "hush-token", when)


async def test_no_text_column_is_a_way_to_read_files(staff: httpx2.AsyncClient, add_book: AddBook) -> None:
    book = await add_book(file="pyproject.toml")
    for way in ("download", "preview"):
        assert (await staff.get(f"/admin/book/{book.id}/file/{way}/")).status_code == 404


async def test_behind_a_proxy_that_ends_tls_every_address_is_https(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    async with backend.copy() as url:
        settings = make_settings(DATABASE_URL=url, SITE_URL="https://site.example")
        async with running(settings) as app:
            client = new_client(app)
            await sign_in_as(client, app, await add_user(app, is_staff=True, permissions=["accounts.user.view"]))
            cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
            page = await client.get("http://site.example/admin/user/list", headers={"Cookie": cookie})
    assert page.status_code == 200
    assert "https://site.example/admin/statics/" in page.text
    assert "http://site.example" not in page.text


async def test_times_are_shown_in_utc(staff: httpx2.AsyncClient, add_book: AddBook) -> None:
    await add_book(printed_at=datetime(2026, 5, 31, 18, 0, 5, tzinfo=UTC))
    assert "2026-05-31 18:00:05 UTC" in (await staff.get("/admin/book/list")).text


async def test_pages_bring_no_inline_script(staff: httpx2.AsyncClient, add_book: AddBook) -> None:
    book = await add_book()
    for path in ("", "book/list", "book/create", f"book/edit/{book.id}", f"book/details/{book.id}"):
        answer = await staff.get(f"/admin/{path}")
        assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=", answer.text), path
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "no-store" in answer.headers["cache-control"]


# Saving


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


# Bad requests


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


# Search, actions, export


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


# Assembly


def test_two_views_at_one_address_are_refused(shared_app: FastAPI) -> None:
    admin = Site(FastAPI(), shared_app.state.runtime)
    admin.add_view(BookAdmin)
    with pytest.raises(ConfigurationError, match="/admin/book"):
        admin.add_view(BookAdmin)


def test_a_view_of_two_sites_asks_each_sites_own_database(shared_app: FastAPI) -> None:
    first, second = (Site(FastAPI(), shared_app.state.runtime) for _ in range(2))
    first.add_view(BookAdmin)
    second.add_view(BookAdmin)
    view = first.views[0]
    assert isinstance(view, ModelAdmin)
    assert view.session_maker is first.session_maker
