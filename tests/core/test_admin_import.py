"""A CSV file is looked at before it is imported: all of its rows are added or none, and each is written down."""

import csv
import io
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import delete, select

from apps.accounts.testing import add_user, sign_in_as
from project.core.admin import importing
from project.core.db.audit import AuditEntry
from project.core.testing.plugin import NewClient
from tests.core.library.app import NovelAdmin
from tests.core.library.models import Author, Mood, Novel

pytestmark = pytest.mark.any_database

GOOD = "title,pages,lent,mood\nEmma,400,True,sad\nPersuasion,,False,\n"
IMPORT = "/admin/novel/import"


async def upload(client: httpx2.AsyncClient, content: str | bytes, path: str = IMPORT) -> httpx2.Response:
    return await client.post(path, files={"file": ("novels.csv", content, "text/csv")})


async def confirm(client: httpx2.AsyncClient, preview: httpx2.Response, path: str = IMPORT) -> httpx2.Response:
    return await client.post(path, data=hidden(preview))


def hidden(preview: httpx2.Response) -> dict[str, str]:
    """What the button of the preview sends."""
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', preview.text))
    assert fields.keys() == {"kept", "plan"}
    return {name: unescape(value) for name, value in fields.items()}


async def novels(library: FastAPI) -> list[Novel]:
    async with library.state.runtime.unit_of_work(write=False) as db:
        return list((await db.exec(select(Novel).order_by(Novel.title))).all())


async def test_rows_are_shown_first_and_added_when_somebody_says_so(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    assert "title, pages, lent, mood, printed_at, author_id" in (await librarian.get(IMPORT)).text
    preview = await upload(librarian, GOOD)
    assert preview.status_code == 200
    assert "2 rows, all of them good. Nothing is imported yet." in preview.text
    assert "Persuasion" in preview.text
    assert await novels(library) == []
    done = await confirm(librarian, preview)
    assert (done.status_code, done.headers["location"]) == (303, "/admin/novel/list")
    assert "2 Novels imported." in (await librarian.get("/admin/novel/list")).text
    assert [(each.title, each.pages, each.lent, each.mood) for each in await novels(library)] == [
        ("Emma", 400, True, Mood.SAD),
        ("Persuasion", 0, False, Mood.HAPPY),
    ]
    async with library.state.runtime.unit_of_work(write=False) as db:
        entries = (await db.exec(select(AuditEntry))).all()
    assert {(each.action, each.words, each.actor) for each in entries} == {
        ("import", title, "root@example.com") for title in ("Emma", "Persuasion")
    }


async def test_what_is_wrong_is_told_by_line_and_nothing_is_imported(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    rows = [
        "Emma,1,,,",
        "ab,1,,,",
        "banned,1,,,",
        "Cold,many,,,",
        "Cold,1,perhaps,,",
        "Cold,1,,grumpy,",
        "Cold,1,,,soon",
    ]
    content = "\n".join(["title,pages,lent,mood,printed_at", *rows])
    answer = await upload(librarian, content)
    assert answer.status_code == 422
    assert "6 of 7 rows cannot be imported. Nothing was imported" in answer.text
    told = re.findall(r'class="wrong"><td>(\d+)</td>.*?<td>([^<]*)</td></tr>', answer.text, re.S)
    assert [(line, unescape(words)) for line, words in told] == [
        ("3", "Title: Use at least 3 characters."),
        ("4", "Title: Nobody may write this."),
        ("5", "Pages: Not a valid integer value."),
        ("6", "Lent: 'perhaps' cannot be read."),
        ("7", "Mood: Not a valid choice."),
        ("8", "Printed at: 'soon' cannot be read."),
    ]
    assert 'name="kept"' not in answer.text
    assert not re.search("INSERT|sqlalchemy|Traceback", answer.text)
    assert await novels(library) == []


async def test_a_row_that_stands_twice_is_found_in_the_preview_already(
    librarian: httpx2.AsyncClient,
) -> None:
    answer = await upload(librarian, "name\nJane\nAnne\nJane\n", "/admin/author/import")
    assert answer.status_code == 422
    assert re.findall(r'class="wrong"><td>(\d+)</td>', answer.text) == ["4"]
    assert "Line 2 is about the same row." in answer.text


async def test_what_changed_between_the_look_and_the_word_is_refused_as_a_whole(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    async with library.state.runtime.unit_of_work() as db:
        author = Author(name="Jane")
        db.add(author)
    content = f"title,author_id\nEmma,\nPersuasion,{author.id}\n"
    preview = await upload(librarian, content)
    async with library.state.runtime.unit_of_work() as db:
        await db.exec(delete(Author))
    answer = await confirm(librarian, preview)
    assert answer.status_code == 422
    assert "refers to something that is not there" in answer.text
    assert await novels(library) == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
async def test_what_was_exported_comes_back_as_it_was(
    library: FastAPI, librarian: httpx2.AsyncClient, start: str
) -> None:
    when = datetime(2026, 5, 31, 18, 0, 5, 123, tzinfo=UTC)
    title = f'{start}HYPERLINK("x,y")\nsecond line'
    async with library.state.runtime.unit_of_work() as db:
        db.add(Novel(title=title, pages=7, lent=True, mood=Mood.SAD, printed_at=when))
        db.add(Novel(title="Plain"))
    exported = (await librarian.get("/admin/novel/export/csv")).content
    async with library.state.runtime.unit_of_work() as db:
        await db.exec(delete(Novel))
    await confirm(librarian, await upload(librarian, exported))
    plain, formula = sorted(await novels(library), key=lambda each: each.pages)
    assert formula.title.replace("\r\n", "\n") == title
    assert (formula.pages, formula.lent, formula.mood, formula.printed_at) == (7, True, Mood.SAD, when)
    assert (plain.title, plain.lent, plain.mood, plain.printed_at) == ("Plain", False, Mood.HAPPY, None)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "The file has 0 rows."),
        ("title\n", "The file has 0 rows."),
        ("title,pages\nEmma\n", "Line 2 has more or fewer cells than the first line."),
        ("title,api_token\nEmma,mine\n", "says 'api_token'"),
        ("title,id\nEmma,1\n", "There is no row with this key."),
        ("title,title\nEmma,Emma\n", "says 'title'"),
        (b"title\n\xff\xfe\n", "This is not a CSV file in UTF-8."),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "This is not a CSV file in UTF-8."),
        ("title\n" + "Emma\n" * 1001, "The file has 1,001 rows."),
        ("title\n" + "E" * importing.LARGEST, "The file is larger than 512 kB."),
    ],
)
async def test_a_file_that_cannot_be_imported_is_told_why(
    library: FastAPI, librarian: httpx2.AsyncClient, content: str | bytes, words: str
) -> None:
    answer = await upload(librarian, content)
    assert answer.status_code == 422
    assert words in unescape(answer.text)
    assert await novels(library) == []


@pytest.mark.parametrize("kept", ["", "%%%", "AAAA", "é"])
async def test_a_made_up_confirmation_imports_nothing(
    library: FastAPI, librarian: httpx2.AsyncClient, kept: str
) -> None:
    assert (await librarian.post(IMPORT, data={"kept": kept})).status_code == 422
    assert (await librarian.post(IMPORT)).status_code == 422
    assert await novels(library) == []


async def test_another_sites_page_imports_nothing(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    preview = await upload(librarian, GOOD)
    answer = await librarian.post(IMPORT, data=hidden(preview), headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert await novels(library) == []


# Rows that are there already


async def put(library: FastAPI, *rows: Any) -> None:
    async with library.state.runtime.unit_of_work() as db:
        db.add_all(rows)


async def test_a_row_that_names_one_there_is_changes_it_after_a_look_at_what_changes(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    emma, other = Novel(title="Emma", pages=3, lent=True, mood=Mood.SAD), Novel(title="Persuasion", pages=9)
    await put(library, emma, other)
    content = f"id,title,pages\n{emma.id},Emma,400\n{other.id},Persuasion,9\n,Lady Susan,80\n"
    preview = await upload(librarian, content)
    text = re.sub(r"<[^>]+>|\s+", " ", preview.text)
    assert "1 new, 1 changed, 1 as they were." in text
    assert re.search(r"Emma +400 +Pages +3 +400 ", text)
    assert [each.pages for each in await novels(library)] == [3, 9]
    done = await confirm(librarian, preview)
    assert done.headers["location"] == "/admin/novel/list"
    assert "3 Novels imported, 2 of them known before." in (await librarian.get("/admin/novel/list")).text
    assert [(each.title, each.pages, each.lent, each.mood) for each in await novels(library)] == [
        ("Emma", 400, True, Mood.SAD),  # what the file does not name is as it was
        ("Lady Susan", 80, False, Mood.HAPPY),
        ("Persuasion", 9, False, Mood.HAPPY),
    ]
    async with library.state.runtime.unit_of_work(write=False) as db:
        entries = {each.words: each for each in await db.exec(select(AuditEntry))}
    assert {name: (each.action, each.changes.get("pages")) for name, each in entries.items()} == {
        "Emma": ("import", [3, 400]),
        "Lady Susan": ("import", [None, 80]),
    }
    page = (await librarian.get(f"/admin/novel/history/{emma.id}")).text
    assert re.search(r"<del>3</del>\s*<ins>400</ins>", page)


async def test_a_column_in_which_no_value_stands_twice_names_a_row_too(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    await put(library, Author(name="Jane", note=""))
    preview = await upload(librarian, "name\nJane\nAnne\n", "/admin/author/import")
    assert (preview.text.count(">New<"), preview.text.count(">Nothing<")) == (1, 1)
    await confirm(librarian, preview, "/admin/author/import")
    async with library.state.runtime.unit_of_work(write=False) as db:
        assert sorted((await db.exec(select(Author.name))).all()) == ["Anne", "Jane"]


async def test_what_somebody_changed_since_the_look_is_shown_again_before_anything_is_done(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    emma = Novel(title="Emma", pages=3)
    await put(library, emma)
    preview = await upload(librarian, f"id,pages\n{emma.id},400\n")
    async with library.state.runtime.unit_of_work() as db:
        (await db.get_one(Novel, emma.id)).pages = 5
    again = await confirm(librarian, preview)
    assert (again.status_code, "Something has changed since you looked." in again.text) == (200, True)
    assert [each.pages for each in await novels(library)] == [5]
    assert (await confirm(librarian, again)).status_code == 303
    assert [each.pages for each in await novels(library)] == [400]


async def test_what_cannot_be_changed_is_told_by_line(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    emma = Novel(title="Emma", pages=3)
    await put(library, emma)
    lines = [f"{emma.id},Emma,4", f"{emma.id},Emma,5", f"{uuid4()},Emma,6", "nonsense,Emma,7", f"{emma.id},ab,8"]
    answer = await upload(librarian, "\n".join(["id,title,pages", *lines]))
    assert answer.status_code == 422
    told = re.findall(r'class="wrong"><td>(\d+)</td>.*?<td>([^<]*)</td></tr>', answer.text, re.S)
    assert [(line, unescape(words)) for line, words in told] == [
        ("3", "Line 2 is about the same row."),
        ("4", "Id: There is no row with this key."),
        ("5", "Id: There is no row with this key."),
        ("6", "Line 2 is about the same row."),
    ]
    assert [each.pages for each in await novels(library)] == [3]


@pytest.mark.parametrize("words", [["add"], ["add", "view", "change"]])
async def test_rows_are_changed_by_a_file_only_by_those_who_may_change_them(
    library: FastAPI, new_client: NewClient, words: list[str]
) -> None:
    client, allowed = new_client(library), "change" in words
    names = [f"library.author.{word}" for word in words]
    await sign_in_as(client, library, await add_user(library, is_staff=True, permissions=names))
    jane = Author(name="Jane")
    await put(library, jane)
    by_name = await upload(client, "name\nJane\n", "/admin/author/import")
    assert by_name.status_code == (200 if allowed else 422)
    assert ("Name: There is one like this already." in by_name.text) != allowed
    assert not re.search("INSERT|UNIQUE|uq_", by_name.text)
    by_id = await upload(client, f"id,name\n{jane.id},Anne\n", "/admin/author/import")
    assert ("says 'id'" in unescape(by_id.text)) != allowed


async def test_who_may_not_change_this_row_does_not_do_it_by_a_file(
    library: FastAPI, librarian: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: Any) -> bool:
        return False

    emma = Novel(title="Emma", pages=3)
    await put(library, emma)
    monkeypatch.setattr(NovelAdmin, "check_can_edit", never)
    answer = await upload(librarian, f"id,pages\n{emma.id},400\n")
    assert answer.status_code == 422
    assert [each.pages for each in await novels(library)] == [3]


async def test_an_excel_file_with_a_byte_order_mark_is_read(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["title"], ["Émile"]])
    await confirm(librarian, await upload(librarian, text.getvalue().encode("utf-8-sig")))
    assert [each.title for each in await novels(library)] == ["Émile"]
