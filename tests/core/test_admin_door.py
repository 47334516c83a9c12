"""The admin's door: who gets in, and what a page shows to whom."""

import re
from datetime import UTC, datetime

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from apps.accounts.models import Group, User
from apps.accounts.testing import SignIn, add_user, sign_in_as
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from tests.core.shelf.admin import SAVE
from tests.core.shelf.models import AddBook, titles

pytestmark = pytest.mark.any_database


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


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "GET"])
async def test_what_does_not_change_things_elsewhere_changes_nothing_here(
    live_app: FastAPI, new_client: NewClient, method: str
) -> None:
    """Such requests pass the guard from any site's page, and SQLAdmin takes all that is not GET for a form."""
    client = new_client(live_app)
    user = await add_user(live_app, is_superuser=True, name="Ann")
    await sign_in_as(client, live_app, user)
    for path in (f"user/edit/{user.id}?name=", "group/create?name=Mine", f"user/delete?pks={user.id}"):
        answer = await client.request(method, f"/admin/{path}", headers={"X-HTTP-Method-Override": "POST"})
        assert answer.status_code == (200 if method in ("GET", "HEAD") else 405), path
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        assert (await db.exec(select(User.name))).all() == ["Ann"]
        assert (await db.exec(select(Group.id))).all() == []


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
