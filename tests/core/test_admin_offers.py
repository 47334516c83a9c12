"""What the admin shows of itself by permission: its index, its history, what can be given."""

import re

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from apps.accounts.testing import SignIn
from project.core import AppConfig, needs
from project.core.admin.site import Site, mount_admin
from project.core.db.audit import AuditEntry
from project.core.db.models import uuid7
from project.core.errors import ConfigurationError
from project.core.runtime import Runtime
from project.core.testing.plugin import MakeSettings
from tests.core.shelf.admin import SECRET_TITLE, BookAdmin, CarelessAdmin, Figures
from tests.core.shelf.models import Book, Writer

pytestmark = pytest.mark.any_database


BOOK = {word: f"shelf.book.{word}" for word in ("view", "add", "change", "delete")}


async def test_the_history_of_a_row_is_for_those_who_may_see_it_and_all_of_it_has_a_permission_of_its_own(
    clerk: httpx2.AsyncClient, shelf: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, book: Book, db: AsyncSession
) -> None:
    entry = AuditEntry(
        actor_id=uuid7(),
        actor="hush@example.com",
        action="change",
        kind="test_book",
        row_id=str(book.id),
        words=SECRET_TITLE,
        changes={"title": ["Solaris", SECRET_TITLE]},
    )
    db.add(entry)
    await db.commit()
    whole = ["/admin/history/list", f"/admin/history/details/{entry.id}", "/admin/history/export/csv"]
    await sign_in("a@example.com", into=clerk, is_staff=True, permissions=[BOOK["view"]])
    assert "Solaris" in (await clerk.get(f"/admin/book/history/{book.id}")).text
    await sign_in("b@example.com", is_staff=True, permissions=["core.job.view", "core.job.delete"])
    assert [(await client.get(url)).status_code for url in whole] == [403] * 3
    await sign_in("c@example.com", is_staff=True, permissions=["core.audit_entry.view"])
    assert [(await client.get(url)).status_code for url in whole] == [200] * 3
    await sign_in("d@example.com", into=clerk, is_staff=True, permissions=["core.audit_entry.view"])
    assert (await clerk.get(f"/admin/book/history/{book.id}")).status_code == 403


@pytest.mark.parametrize("allowed", [True, False])
async def test_what_a_key_leads_to_is_told_to_those_who_may_see_it(
    clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book, db: AsyncSession, allowed: bool
) -> None:
    writer = Writer(name="Ann of nobody")
    db.add(writer)
    await db.flush()
    book.writer_id = writer.id
    db.add(book)
    await db.commit()
    seen = ["shelf.writer.view"] if allowed else ["shelf.writer.add"]
    await sign_in(into=clerk, is_staff=True, permissions=[BOOK["view"], *seen])
    page = (await clerk.get(f"/admin/careless/details/{book.id}")).text
    assert ("/admin/writer/details/" in page) == allowed
    assert str(writer.id) in page


async def test_what_can_be_given_is_what_means_something(shelf: FastAPI) -> None:
    site = Site(FastAPI(), shelf.state.runtime)
    for view in (BookAdmin, CarelessAdmin, Figures):
        site.add_view(view, "shelf")
    offered = [offer[2:] for offer in site.rights.offered()]
    assert offered[:4] == [
        ("shelf.book.view", "See"),
        ("shelf.book.add", "Add"),
        ("shelf.book.change", "Change"),
        ("shelf.book.delete", "Delete"),
    ]
    assert ("shelf.book.publish", "Publish") in offered
    assert offered[-1] == ("shelf.figures.view", "See")
    assert len(offered) == len(set(offered))


async def test_staff_without_a_group_are_told_so_kindly(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_staff=True)
    answer = await client.get("/admin/")
    assert answer.status_code == 200
    assert "none of your groups has a task for you yet" in answer.text
    assert "Jobs queued" not in answer.text
    assert not re.search(r"/admin/[\w-]+/list", answer.text)


async def test_the_index_shows_what_is_permitted(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_staff=True, permissions=["core.sent_mail.view"])
    page = (await client.get("/admin/")).text
    assert set(re.findall(r"/admin/([\w-]+)/list", page)) == {"sent-mail"}
    assert "Jobs queued" not in page
    assert page.count('class="how-many"') == 1
    assert "none of your groups" not in page
    await sign_in("b@example.com", is_staff=True, permissions=["core.job.view"])
    assert "Jobs queued" in (await client.get("/admin/")).text


async def test_the_index_counts_only_what_may_be_seen(clerk: httpx2.AsyncClient, sign_in: SignIn, book: Book) -> None:
    for word, counts in (("add", 0), ("view", 2)):
        await sign_in(f"{word}@example.com", into=clerk, is_staff=True, permissions=[BOOK[word]])
        page = (await clerk.get("/admin/")).text
        assert {"book", "careless"} <= set(re.findall(r"/admin/([\w-]+)/list", page))
        assert page.count('class="how-many"') == counts


async def test_an_entry_of_the_history_leads_to_its_row_where_that_may_be_seen(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    entry = AuditEntry(
        actor_id=uuid7(), actor="a@example.com", action="retry", kind="core_job", row_id="1", words="x", changes={}
    )
    db.add(entry)
    await db.commit()
    for word in ("delete", "view"):
        names = ["core.audit_entry.view", f"core.job.{word}"]
        await sign_in(f"{word}@example.com", is_staff=True, permissions=names)
        page = (await client.get(f"/admin/history/details/{entry.id}")).text
        assert ("/admin/jobs/history/1" in page) == (word == "view")


async def test_a_permission_that_nobody_can_be_given_stops_the_site(make_settings: MakeSettings) -> None:
    def site(name: str) -> None:
        router = APIRouter()
        router.get("/x", dependencies=[needs(name)])(lambda: None)
        app = FastAPI()
        app.include_router(router, prefix="/deep")
        runtime = Runtime(make_settings())
        runtime.registry.apps.append(
            AppConfig("blog", title="Blog", permissions={"blog.post.publish": "Publish posts"})
        )
        mount_admin(app, runtime)

    site("blog.post.publish")
    site("core.job.change")
    with pytest.raises(ConfigurationError, match=r"/deep/x needs 'core.job.chnge'.*Did you mean 'core.job.change'"):
        site("core.job.chnge")
    with pytest.raises(ConfigurationError, match=r"AppConfig\(permissions="):
        site("zzz.yyy.xxx")
