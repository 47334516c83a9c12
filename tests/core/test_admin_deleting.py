"""Before anything is deleted the admin says what goes along; it asks on a page of its own and acts by POST."""

import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from project.core.db.audit import AuditEntry
from project.core.testing.budgets import MOST
from tests.core.library.models import Author, Loan, Novel, Review, Wish

pytestmark = pytest.mark.any_database

Grow = Callable[..., Awaitable[Any]]


@pytest.fixture
def grow(library: FastAPI) -> Grow:
    async def add(*rows: Any) -> Any:
        async with library.state.runtime.unit_of_work() as db:
            for row in rows:
                db.add(row)
                await db.flush()
        return rows[0]

    return add


async def titles(library: FastAPI) -> list[str]:
    async with library.state.runtime.unit_of_work(write=False) as db:
        return sorted((await db.exec(select(Novel.title))).all())


def told(page: httpx2.Response) -> list[str]:
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "\n", page.text[page.text.index("page-body") :]))
    return [each for each in re.split(r" ?\n ?|(?<=[.:]) ", unescape(text)) if each.strip()]


def buttons(page: httpx2.Response) -> list[str]:
    return re.findall(r"<button[^>]*>(\w+)</button>", page.text)


async def test_what_goes_along_what_stays_and_what_is_in_the_way_is_counted_first(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    author = await grow(Author(name="Jane"))
    emma = await grow(Novel(title="Emma", author_id=author.id))
    await grow(Novel(title="Persuasion", author_id=author.id))
    await grow(*(Review(novel_id=emma.id) for _ in range(3)), Wish(novel_id=emma.id))
    page = await librarian.get(f"/admin/author/delete?pks={author.id}")
    assert page.status_code == 200
    text = " ".join(told(page))
    assert "Deleted along with it: 2 Novels 3 Reviews" in text
    assert "These stay, and refer to nothing any more: 1 library wish" in text
    assert "Jane" in text
    assert buttons(page) == ["Delete"]
    loan = await grow(Loan(novel_id=emma.id))
    page = await librarian.get(f"/admin/author/delete?pks={author.id}")
    assert "cannot be deleted as long as it is referred to by: 1 Loan" in " ".join(told(page))
    assert buttons(page) == []
    refused = await librarian.post(f"/admin/author/delete?pks={author.id}")
    assert refused.status_code == 409
    assert "still referred to" in refused.text
    assert await titles(library) == ["Emma", "Persuasion"]
    await librarian.post(f"/admin/loan/delete?pks={loan.id}")
    done = await librarian.post(f"/admin/author/delete?pks={author.id}")
    assert (done.status_code, done.headers["location"]) == (303, "/admin/author/list")
    assert "1 Author deleted." in (await librarian.get("/admin/author/list")).text
    assert await titles(library) == []


async def test_looking_at_the_question_deletes_nothing(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    novel = await grow(Novel(title="Emma"))
    for method in ("GET", "HEAD"):
        await librarian.request(method, f"/admin/novel/delete?pks={novel.id}")
    page = await librarian.get(f"/admin/novel/delete?pks={novel.id}")
    assert "Nothing else hangs on it." in page.text
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert (await librarian.post(f"/admin/novel/delete?pks={novel.id}", headers=headers)).status_code == 403
    assert await titles(library) == ["Emma"]


async def test_several_rows_are_asked_for_as_a_forms_boxes_send_them(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    rest = [f"Novel {number}" for number in range(MOST)]  # one query for each row would break the budget
    novels = [await grow(Novel(title=title)) for title in ("Emma", "Persuasion", *rest, "Sanditon")]
    boxes = "&".join(f"pks={novel.id}" for novel in novels[:-1])
    page = await librarian.get(f"/admin/novel/delete?{boxes}")
    assert all(title in page.text for title in ("Emma", "Persuasion"))
    assert "Sanditon" not in page.text
    await librarian.post(f"/admin/novel/delete?{boxes}")
    assert await titles(library) == ["Sanditon"]


async def test_the_history_keeps_what_was_deleted_together(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    novels = [await grow(Novel(title=title)) for title in ("Emma", "Persuasion")]
    await librarian.post(f"/admin/novel/delete?pks={novels[0].id},{novels[1].id}")
    async with library.state.runtime.unit_of_work(write=False) as db:
        found = (await db.exec(select(AuditEntry))).all()
    assert {(entry.action, entry.words) for entry in found} == {("delete", "Emma"), ("delete", "Persuasion")}


@pytest.mark.parametrize("pks", ["", "pks=", "pks=,,"])
async def test_nothing_chosen_is_said_in_words(librarian: httpx2.AsyncClient, pks: str) -> None:
    for method in ("GET", "POST"):
        answer = await librarian.request(method, f"/admin/novel/delete?{pks}")
        assert answer.status_code == 400
        assert "Choose what to delete first." in answer.text


@pytest.mark.parametrize("pk", ["abc", "9" * 40, "e63a5375-c2ce-4293-9dbe-0167378d21c0", "%00"])
async def test_what_is_not_there_is_a_404(librarian: httpx2.AsyncClient, pk: str) -> None:
    for way in ("delete", "confirm/shout"):
        assert (await librarian.get(f"/admin/novel/{way}?pks={pk}")).status_code == 404
    assert (await librarian.get(f"/admin/novel/history/{pk}")).status_code == 404


async def test_an_action_asks_on_a_page_of_its_own_and_runs_by_post(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    novels = [await grow(Novel(title=title)) for title in ("Emma", "Persuasion")]
    page = await librarian.get(f"/admin/novel/confirm/shout?pks={novels[0].id}&pks={novels[1].id}")
    assert "Really?" in page.text
    assert all(title in page.text for title in ("Emma", "Persuasion"))
    to = re.search(r'<form[^>]* method="post" action="([^"]+)"', page.text)
    assert to
    assert await titles(library) == ["Emma", "Persuasion"]
    assert (await librarian.post(unescape(to[1]))).status_code == 303
    assert await titles(library) == ["EMMA", "PERSUASION"]
    assert (await librarian.get("/admin/novel/confirm/nothing")).status_code == 404
