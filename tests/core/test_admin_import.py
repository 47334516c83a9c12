"""A CSV file is looked at before it is imported: all of its rows are added or none, and each is written down."""

import csv
import io
import re
from datetime import UTC, datetime
from html import unescape

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import delete, select

from project.core.admin import importing
from project.core.db.audit import AuditEntry
from tests.core.library.models import Author, Mood, Novel

pytestmark = pytest.mark.any_database

GOOD = "title,pages,lent,mood\nEmma,400,True,sad\nPersuasion,,False,\n"
IMPORT = "/admin/novel/import"


async def upload(client: httpx2.AsyncClient, content: str | bytes, path: str = IMPORT) -> httpx2.Response:
    return await client.post(path, files={"file": ("novels.csv", content, "text/csv")})


async def confirm(client: httpx2.AsyncClient, preview: httpx2.Response, path: str = IMPORT) -> httpx2.Response:
    kept = re.search(r'name="kept" value="([^"]+)"', preview.text)
    assert kept
    return await client.post(path, data={"kept": unescape(kept[1])})


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
    told = re.findall(r'class="wrong"><td>(\d+)</td>.*?<td>([^<]*)</td></tr>', answer.text)
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


async def test_what_the_database_refuses_is_found_in_the_preview_already(
    librarian: httpx2.AsyncClient,
) -> None:
    answer = await upload(librarian, "name\nJane\nAnne\nJane\n", "/admin/author/import")
    assert answer.status_code == 422
    assert re.findall(r'class="wrong"><td>(\d+)</td>', answer.text) == ["4"]
    assert "Name: There is one like this already." in answer.text
    assert not re.search("INSERT|UNIQUE|uq_", answer.text)


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
        ("title,id\nEmma,1\n", "says 'id'"),
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
    kept = re.search(r'name="kept" value="([^"]+)"', preview.text)
    assert kept
    answer = await librarian.post(IMPORT, data={"kept": kept[1]}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert await novels(library) == []


async def test_an_excel_file_with_a_byte_order_mark_is_read(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["title"], ["Émile"]])
    await confirm(librarian, await upload(librarian, text.getvalue().encode("utf-8-sig")))
    assert [each.title for each in await novels(library)] == ["Émile"]
