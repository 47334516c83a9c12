"""Long lists, counts and words: nothing is counted to the end, no row costs a query of its own, no id stands alone."""

import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from project.core.admin import listing
from project.core.db.models import plural
from project.core.db.recording import Recording, recorded
from tests.core.library.models import Author, Genre, Novel, Review

Grow = Callable[..., Awaitable[Any]]
LIST = "/admin/novel/list"


@pytest.fixture
def grow(library: FastAPI) -> Grow:
    async def add(*rows: Any) -> Any:
        async with library.state.runtime.unit_of_work() as db:
            db.add_all(rows)
        return rows[0]

    return add


def sql_of(asked: Recording) -> list[str]:
    return [each.sql for each in asked.statements]


def titles(page: httpx2.Response) -> list[str]:
    return re.findall(r'class="admin-first"[^>]*>([^<]+)</a>', page.text)


def footer(page: httpx2.Response) -> str:
    text = page.text[page.text.index('<footer class="admin-pages">') :]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", "", text[: text.index("</p>")])).strip()


async def test_a_short_list_is_counted_and_each_page_leads_to_the_next(
    librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    await grow(*(Novel(title=f"Novel {n:02}") for n in range(30)))
    first = await librarian.get(f"{LIST}?sortBy=title&sort=asc")
    assert (footer(first), titles(first)[0], len(titles(first))) == ("1 to 25 of 30", "Novel 00", 25)
    link = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert link
    second = await librarian.get(unescape(link[1]))
    assert (footer(second), titles(second)) == ("26 to 30 of 30", [f"Novel {n}" for n in range(25, 30)])
    assert 'rel="next"' not in second.text
    assert titles(await librarian.get(f"{LIST}?sortBy=title&sort=asc&page=99", follow_redirects=True)) == titles(second)


async def test_nobody_counts_to_the_end_and_the_words_say_so(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST", 30)
    await grow(*(Novel(title=f"Novel {n:02}") for n in range(60)))
    assert footer(await librarian.get(f"{LIST}?search=Novel")) == "1 to 25 of more than 30"
    with recorded() as asked:
        page = await librarian.get(f"{LIST}?search=Novel&sortBy=title&sort=asc&page=3")
    assert (footer(page), len(titles(page))) == ("51 to 60 of 60", 10)
    assert 'rel="next"' not in page.text
    assert not [each for each in sql_of(asked) if "count(" in each and "LIMIT" not in each]
    engine = library.state.runtime.database.engine
    if engine.dialect.name == "postgresql":
        async with engine.begin() as connection:
            await connection.execute(sa.text("ANALYZE library_novel"))
        assert footer(await librarian.get(LIST)) == "1 to 25 of about 60"
    else:
        assert footer(await librarian.get(LIST)) == "1 to 25 of more than 30"


async def test_a_deep_page_is_found_by_its_keys_alone(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    await grow(*(Novel(title=f"Novel {n:02}") for n in range(60)))
    with recorded() as asked:
        page = await librarian.get(f"{LIST}?sortBy=title&sort=desc&page=2")
    assert titles(page) == [f"Novel {n:02}" for n in range(34, 9, -1)]
    (skipping,) = [each for each in sql_of(asked) if "ORDER BY" in each and "OFFSET" in each]
    inner = skipping[skipping.rindex("SELECT") :]
    assert re.match(r"SELECT library_novel.id\s+FROM", inner)


async def test_foreign_keys_are_told_in_words_with_links_and_one_query(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    authors = [Author(name=f"Author {n}") for n in range(20)]
    await grow(*authors)
    await grow(*(Novel(title=f"Novel {n:02}", author_id=author.id) for n, author in enumerate(authors)))
    await grow(Novel(title="Beowulf"))
    with recorded() as asked:
        page = await librarian.get(LIST)
    for author in authors:
        assert re.search(rf'<a href="/admin/author/details/{author.id}">{author.name}</a>', page.text)
    assert "<th>Author</th>" in page.text
    assert len([each for each in sql_of(asked) if "FROM library_author" in each]) == 1
    assert "hush" not in page.text


async def test_a_row_without_words_of_its_own_is_told_by_its_name_and_never_by_all_its_columns(
    librarian: httpx2.AsyncClient, grow: Grow
) -> None:
    genre = await grow(Genre(name="Satire"))
    author = await grow(Author(name="Jane"))
    novel = await grow(Novel(title="Emma", author_id=author.id, genres=[genre]))
    review = await grow(Review(novel_id=novel.id))
    pages = [
        await librarian.get(f"/admin/{path}")
        for path in (
            f"novel/details/{novel.id}",
            f"novel/edit/{novel.id}",
            f"review/details/{review.id}",
            "author/list",
        )
    ]
    assert not any(re.search("hush|api_token=", page.text) for page in pages)
    assert re.search(r">Satire</a>.*", pages[0].text)
    assert re.search(r">Jane</a>", pages[0].text)
    assert re.search(r"<option[^>]*>Satire</option>", pages[1].text)
    assert re.search(r">Emma</a>", pages[2].text)
    assert f"Review {str(review.id)[-8:]}" in pages[2].text


async def test_the_index_counts_each_table_no_further_than_people_look(
    library: FastAPI, librarian: httpx2.AsyncClient, grow: Grow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MOST", 3)
    await grow(Author(name="Jane"), *(Novel(title=f"Novel {n}") for n in range(5)))
    with recorded() as asked:
        page = await librarian.get("/admin/")
    counts = dict(re.findall(r"<h3>([^<]+)</h3>\s*<span class=\"how-many\">([^<]+)</span>", page.text))
    assert (counts["Authors"], counts["Novels"], counts["Loans"]) == ("1", "more than 3", "0")
    assert not [each for each in sql_of(asked) if "library_" in each and "LIMIT" not in each]


async def test_the_history_of_a_row_and_the_whole_are_looked_at(
    librarian: httpx2.AsyncClient, library: FastAPI, grow: Grow
) -> None:
    novel = await grow(Novel(title="Emma", pages=3))
    other = await grow(Novel(title="Persuasion"))
    for row, title in ((novel, "Emma II"), (other, "Persuasion II")):
        data = {"title": title, "pages": "3", "mood": "HAPPY", "save": "Save"}
        await librarian.post(f"/admin/novel/edit/{row.id}", data=data)
    details = await librarian.get(f"/admin/novel/details/{novel.id}")
    link = re.search(r'href="([^"]+/novel/history/[^"]+)"', details.text)
    assert link
    page = await librarian.get(unescape(link[1]))
    assert "<del>Emma</del>" in page.text
    assert re.search(r"<ins>Emma II</ins>", page.text)
    assert "Persuasion II" not in page.text
    whole = await librarian.get("/admin/history/list")
    assert "Emma II" in whole.text
    assert "Persuasion II" in whole.text
    for query, found in {
        "search=persuasion": ["Persuasion II"],
        "search=nobody": [],
        "action=change": ["Emma II", "Persuasion II"],
        "action=delete": [],
        "kind=library_author": [],
        "search=root%40": ["Emma II", "Persuasion II"],
    }.items():
        text = (await librarian.get(f"/admin/history/list?{query}")).text
        assert [title for title in ("Emma II", "Persuasion II") if f'<td data-label="Row">{title}' in text] == found, (
            query
        )
    entry = re.search(r'href="([^"]+/history/details/[^"]+)"', whole.text)
    assert entry
    assert "<ins>Persuasion II</ins>" in (await librarian.get(unescape(entry[1]))).text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Entry", "Entries"),
        ("Day", "Days"),
        ("Box", "Boxes"),
        ("Batch", "Batches"),
        ("Address", "Addresses"),
        ("Book", "Books"),
    ],
)
def test_plurals_are_right(name: str, expected: str) -> None:
    assert plural(name) == expected
