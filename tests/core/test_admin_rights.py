"""Rights in the admin: what is not permitted is neither offered nor done, whatever an app's view says."""

import re
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.routing import BaseRoute, Mount, Route

from apps.accounts.models import Session
from apps.accounts.testing import SignIn
from project.core.db.audit import AuditEntry
from project.core.db.models import now, uuid7
from project.core.jobs import Job, State
from project.core.mail.sent import SentMail
from tests.core.shelf.admin import SAVE, SECRET_TITLE
from tests.core.shelf.models import Book, Writer, titles

pytestmark = pytest.mark.any_database


BOOK = {word: f"shelf.book.{word}" for word in ("view", "add", "change", "delete")}


def admin_routes(app: FastAPI) -> list[BaseRoute]:
    mount = next(route for route in app.routes if isinstance(route, Mount) and route.name == "admin")
    return list(mount.app.routes)  # type: ignore[attr-defined]


def addresses(app: FastAPI, identity: str, pk: UUID) -> list[tuple[str, str]]:
    """Every method and address of the admin's route table for this view and this row."""
    found = []
    values = {"identity": identity, "pk": str(pk), "export_type": "csv", "column_name": "title"}
    for route in admin_routes(app):
        if not isinstance(route, Route) or ("{identity}" not in route.path and f"/{identity}/" not in route.path):
            continue
        path = re.sub(r"{(\w+)(:\w+)?}", lambda part: values.get(part[1], str(pk)), route.path)
        query = f"?pks={pk}&name=books&term=D"
        found += [(method, f"/admin{path}{query}") for method in sorted((route.methods or set()) - {"HEAD"})]
    return found


async def refusals(client: httpx2.AsyncClient, asked: list[tuple[str, str]]) -> dict[str, tuple[int, str]]:
    answers = {}
    for method, url in asked:
        data = {"title": "Stolen", "mood": "HAPPY"} | SAVE if method == "POST" else None
        answer = await client.request(method, url, data=data)
        answers[f"{method} {url}"] = (answer.status_code, answer.text)
    return answers


async def test_without_a_permission_every_address_of_every_view_is_refused(
    clerk: httpx2.AsyncClient, shelf: FastAPI, sign_in: SignIn, book: Book, db: AsyncSession
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=["accounts.user.view"])
    for identity in ("book", "writer", "careless"):
        asked = addresses(shelf, identity, book.id)
        assert len(asked) > 10
        for where, (status, text) in (await refusals(clerk, asked)).items():
            assert status == 403, where
            assert SECRET_TITLE not in text, where
    assert (await clerk.get("/admin/figures")).status_code == 403
    assert await titles(db) == [SECRET_TITLE]


async def test_every_address_of_the_sites_own_admin_needs_a_permission(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    job = Job(name="blog.hush", arguments={}, due_at=now(), created_at=now(), state=State.DEAD)
    mail = SentMail(to="hush@example.com", subject="Hush", template="x", job_id=uuid7(), message_id="hush")
    entry = AuditEntry(
        actor_id=uuid7(), actor="hush@example.com", action="add", kind="core_job", row_id="1", words="Hush", changes={}
    )
    db.add_all([job, mail, entry])
    await db.commit()
    me = await sign_in("staff@example.com", is_staff=True)
    session = (await db.exec(select(Session))).one()
    rows = {"user": me.id, "session": session.id, "jobs": job.id, "sent-mail": mail.id, "history": entry.id}
    identities = set(re.findall(r'href="[^"]*/admin/([\w-]+)/list', await index_of_a_superuser(app, client, sign_in)))
    assert rows.keys() <= identities
    await sign_in(me)
    for identity in identities:
        answers = await refusals(client, addresses(app, identity, rows.get(identity, uuid7())))
        for where, (status, text) in answers.items():
            assert status == 403, where
            assert not re.search(r"hush|Hush|argon2", text), where
    await db.refresh(job)
    assert job.state == State.DEAD


async def index_of_a_superuser(app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn) -> str:
    await sign_in("root@example.com", is_superuser=True)
    return (await client.get("/admin/")).text


OPENED = {
    "view": {"GET details", "GET history", "GET export", "GET download", "GET preview"},
    "add": {"GET create", "POST create"},
    "change": {"GET edit", "POST edit", "GET confirm", "POST action"},
    "delete": {"GET delete", "POST delete", "DELETE delete"},
}


WAYS = "list|details|history|edit|create|delete|export|download|preview|confirm|action|import|ajax"


@pytest.mark.parametrize("word", OPENED)
async def test_one_permission_opens_its_own_addresses_and_no_other(
    clerk: httpx2.AsyncClient, shelf: FastAPI, sign_in: SignIn, book: Book, word: str
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=[BOOK[word]])
    asked = sorted(addresses(shelf, "book", book.id), key=lambda each: "/delete?" in each[1])  # deletions last
    opened = set()
    for where, (status, _) in (await refusals(clerk, asked)).items():
        found = re.search(f"(\\w+) .*?/({WAYS})", where)
        assert found, where
        if found[2] not in ("list", "ajax", "import"):
            opened |= {f"{found[1]} {found[2]}"} if status != 403 else set()
    assert opened == OPENED[word]


@pytest.mark.parametrize("word", BOOK)
async def test_a_file_is_imported_by_those_who_may_add(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, word: str
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=[BOOK[word]])
    asked, sent = [await clerk.request(way, "/admin/careless/import") for way in ("GET", "POST")]
    assert (asked.status_code, sent.status_code) == ((200, 422) if word == "add" else (403, 403))


@pytest.mark.parametrize(("words", "rows"), [(["view"], True), (["add"], False), (["change", "delete"], False)])
async def test_the_list_shows_rows_only_to_those_who_may_see_them(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, words: list[str], rows: bool
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=[BOOK[word] for word in words])
    answer = await clerk.get("/admin/book/list")
    assert answer.status_code == 200
    assert (SECRET_TITLE in answer.text) == rows
    assert ("not authorized to view" in answer.text) == (not rows)


@pytest.mark.parametrize("words", [["view"], ["view", "add"], ["view", "change"], ["view", "delete"]])
async def test_what_is_not_permitted_has_no_button(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, words: list[str]
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=[BOOK[word] for word in words])
    pages = [(await clerk.get(f"/admin/book/{path}")).text for path in ("list", f"details/{book.id}")]
    assert ("/book/create" in pages[0]) == ("add" in words)
    for page in pages:
        assert ("/book/edit/" in page) == ("change" in words)
        assert ("shout" in page) == ("change" in words)
        assert ("/book/delete" in page) == ("delete" in words)
    assert "/admin/writer/list" not in pages[0]
    assert "/admin/figures" not in pages[0]


async def test_saving_leads_back_to_a_list_that_opens(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, db: AsyncSession
) -> None:
    await sign_in("staff@example.com", into=clerk, is_staff=True, permissions=[BOOK["add"]])
    answer = await clerk.post(
        "/admin/book/create", data={"title": "Emma", "mood": "HAPPY"} | SAVE, follow_redirects=True
    )
    assert answer.status_code == 200
    assert await titles(db) == [SECRET_TITLE, "Emma"]


async def test_an_action_needs_what_its_view_says(clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book) -> None:
    url = f"/admin/careless/action/publish?pks={book.id}"
    await sign_in("a@example.com", into=clerk, is_staff=True, permissions=[BOOK["change"]])
    question = url.replace("/action/", "/confirm/")
    assert (await clerk.post(url)).status_code == 403
    assert (await clerk.get(question)).status_code == 403
    await sign_in("b@example.com", into=clerk, is_staff=True, permissions=["shelf.book.publish"])
    assert SECRET_TITLE in (await clerk.get(question)).text
    assert (await clerk.post(url)).text == "published"
    assert (await clerk.post(f"/admin/book/action/shout?pks={book.id}")).status_code == 403


async def test_a_page_and_an_address_of_an_apps_own_need_to_be_seen(
    clerk: httpx2.AsyncClient, sign_in: SignIn, shelf: FastAPI
) -> None:
    await sign_in("a@example.com", into=clerk, is_staff=True, permissions=["shelf.figures.view"])
    assert (await clerk.get("/admin/figures")).text == SECRET_TITLE
    assert (await clerk.get("/admin/careless/report")).status_code == 403
    await sign_in("b@example.com", into=clerk, is_staff=True, permissions=[BOOK["view"]])
    assert (await clerk.get("/admin/careless/report")).text == SECRET_TITLE
    assert (await clerk.get("/admin/figures")).status_code == 403


async def test_rows_of_a_kind_that_may_not_be_seen_are_not_offered_in_the_forms_of_others(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, db: AsyncSession
) -> None:
    writer = Writer(name="Ann")
    db.add(writer)
    await db.commit()
    look_up = "/admin/writer/ajax/lookup?name=books&term=Dune"
    change = "shelf.writer.change"
    await sign_in("a@example.com", into=clerk, is_staff=True, permissions=[change])
    assert (await clerk.get(look_up)).status_code == 403
    assert 'name="books"' not in (await clerk.get(f"/admin/writer/edit/{writer.id}")).text
    data = {"name": "Bea", "books": [str(book.id)]} | SAVE
    assert (await clerk.post(f"/admin/writer/edit/{writer.id}", data=data)).status_code == 302
    assert (await db.exec(select(Writer.name))).all() == ["Bea"]
    assert (await db.exec(select(Book.writer_id))).all() == [None]
    await sign_in("b@example.com", into=clerk, is_staff=True, permissions=[change, BOOK["view"]])
    assert SECRET_TITLE in (await clerk.get(look_up)).text
    assert 'name="books"' in (await clerk.get(f"/admin/writer/edit/{writer.id}")).text
