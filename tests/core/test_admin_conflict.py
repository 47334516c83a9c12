"""Two people edit one row: nobody overwrites unseen what the other saved, and nothing that was typed is lost."""

import asyncio
import re
from html import unescape
from typing import Any
from uuid import UUID

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from project.core.db.models import Versioned
from tests.core.library.app import NovelAdmin
from tests.core.library.models import Genre, Mood, Novel
from tests.core.probe.models import Page

SAVE = {"save": "Save"}


async def add(app: FastAPI, row: Any) -> Any:
    async with app.state.runtime.unit_of_work() as db:
        db.add(row)
    return row


async def stored(app: FastAPI, key: UUID) -> Novel:
    async with app.state.runtime.unit_of_work(write=False) as db:
        row: Novel = (await db.exec(select(Novel).where(Novel.id == key))).one()
    return row


def seen(page: httpx2.Response) -> str:
    found = re.search(r'name="_seen" value="([^"]*)"', page.text)
    assert found
    return unescape(found[1])


def differences(page: httpx2.Response) -> list[tuple[str, str, str, bool]]:
    """(field, theirs, yours, whether theirs is chosen)."""
    rows = re.findall(
        r'<tr><th scope="row">(.*?)</th><td>(.*?)</td><td>(.*?)</td>\s*<td><input([^>]*)>', page.text, re.S
    )
    return [(unescape(name), theirs, yours, "checked" in box) for name, theirs, yours, box in rows]


@pytest.fixture
async def novel(library: FastAPI) -> Novel:
    row: Novel = await add(library, Novel(title="Emma", pages=400, mood=Mood.SAD))
    return row


@pytest.fixture
def address(novel: Novel) -> str:
    return f"/admin/novel/edit/{novel.id}"


FORM = {"title": "Emma", "pages": "400", "mood": "SAD"}


async def test_a_form_that_somebody_else_has_overtaken_is_refused_and_shows_what_differs(
    library: FastAPI, librarian: httpx2.AsyncClient, novel: Novel, address: str
) -> None:
    opened = seen(await librarian.get(address))
    await librarian.post(address, data=FORM | {"title": "Theirs", "pages": "9"} | SAVE)
    answer = await librarian.post(address, data=FORM | {"title": "Mine", "_seen": opened} | SAVE)
    assert answer.status_code == 412
    assert "Somebody else has saved this meanwhile." in answer.text
    assert differences(answer) == [("Title", "Theirs", "Mine", False), ("Pages", "9", "400", True)]
    assert 'value="Mine"' in answer.text
    row = await stored(library, novel.id)
    assert (row.title, row.pages) == ("Theirs", 9)


async def test_the_person_decides_field_by_field(
    library: FastAPI, librarian: httpx2.AsyncClient, novel: Novel, address: str
) -> None:
    opened = seen(await librarian.get(address))
    await librarian.post(address, data=FORM | {"title": "Theirs", "pages": "9"} | SAVE)
    mine = FORM | {"title": "Mine"} | SAVE
    refused = await librarian.post(address, data=mine | {"_seen": opened})
    answer = await librarian.post(address, data=mine | {"_seen": seen(refused), "_theirs": ["pages"]})
    assert answer.status_code == 302
    row = await stored(library, novel.id)
    assert (row.title, row.pages, row.mood) == ("Mine", 9, Mood.SAD)


async def test_a_third_save_in_between_is_a_conflict_again(
    librarian: httpx2.AsyncClient, novel: Novel, address: str
) -> None:
    opened = seen(await librarian.get(address))
    await librarian.post(address, data=FORM | {"title": "Theirs"} | SAVE)
    refused = await librarian.post(address, data=FORM | {"title": "Mine", "_seen": opened} | SAVE)
    await librarian.post(address, data=FORM | {"title": "A third"} | SAVE)
    again = await librarian.post(address, data=FORM | {"title": "Mine", "_seen": seen(refused)} | SAVE)
    assert (again.status_code, differences(again)) == (412, [("Title", "A third", "Mine", False)])


async def test_links_to_other_rows_are_compared_and_kept_as_well(
    library: FastAPI, librarian: httpx2.AsyncClient, novel: Novel, address: str
) -> None:
    genres = [str((await add(library, Genre(name=name))).id) for name in ("Romance", "Satire")]
    opened = seen(await librarian.get(address))
    await librarian.post(address, data=FORM | {"genres": genres} | SAVE)
    refused = await librarian.post(address, data=FORM | {"title": "Mine", "_seen": opened} | SAVE)
    (found,) = differences(refused)
    assert (found[0], "Romance" in found[1], found[3]) == ("Genres", True, True)
    data = FORM | {"title": "Mine", "_seen": seen(refused), "_theirs": "genres"} | SAVE
    assert (await librarian.post(address, data=data)).status_code == 302
    page = (await librarian.get(f"/admin/novel/details/{novel.id}")).text
    assert "Romance" in page
    assert "Mine" in page


async def test_a_form_that_nobody_overtook_is_saved_whatever_it_holds(
    library: FastAPI, librarian: httpx2.AsyncClient, address: str, novel: Novel
) -> None:
    for data in (
        FORM,
        FORM | {"title": "Two\r\nlines", "printed_at": "1815-12-23 10:00:00"},
        FORM | {"lent": "on"},
        FORM,
    ):
        opened = seen(await librarian.get(address))
        assert (await librarian.post(address, data=data | {"_seen": opened} | SAVE)).status_code == 302
    assert (await stored(library, novel.id)).title == "Emma"


async def test_a_form_refused_for_another_reason_still_knows_what_it_showed(
    librarian: httpx2.AsyncClient, address: str
) -> None:
    opened = seen(await librarian.get(address))
    await librarian.post(address, data=FORM | {"title": "Theirs"} | SAVE)
    refused = await librarian.post(address, data=FORM | {"pages": "many", "_seen": opened} | SAVE)
    assert (refused.status_code, seen(refused)) == (422, opened)
    assert (await librarian.post(address, data=FORM | {"_seen": seen(refused)} | SAVE)).status_code == 412


async def test_of_two_who_save_at_the_same_moment_one_is_told(
    librarian: httpx2.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = seen(await librarian.get(address))
    inside, other_done = asyncio.Event(), asyncio.Event()

    async def linger(self: NovelAdmin, data: dict[str, Any], *_: Any) -> None:
        if data["title"] == "First":
            inside.set()
            with anyio.move_on_after(0.5):  # the other one can be done only where nothing holds it back
                await other_done.wait()

    monkeypatch.setattr(NovelAdmin, "on_model_change", linger)
    first = asyncio.create_task(librarian.post(address, data=FORM | {"title": "First", "_seen": opened} | SAVE))
    await inside.wait()
    second = await librarian.post(address, data=FORM | {"title": "Second", "_seen": opened} | SAVE)
    other_done.set()
    assert ((await first).status_code, second.status_code) == (302, 412)


async def test_a_row_that_knows_its_version_is_guarded_alike(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    from apps.accounts.testing import add_user, sign_in_as

    await sign_in_as(probe, probe_app, await add_user(probe_app, is_superuser=True))
    assert issubclass(Page, Versioned)
    page = await add(probe_app, Page(body="first"))
    address = f"/admin/page/edit/{page.id}"
    opened = seen(await probe.get(address))
    assert (await probe.post(address, data={"body": "theirs", "_seen": opened} | SAVE)).status_code == 302
    assert (await probe.post(address, data={"body": "mine", "_seen": opened} | SAVE)).status_code == 412


@pytest.mark.parametrize("odd", ["x", "title", "title=", "title=zz pages", "=", "id=1 title=2", "\x00", "a=b" * 2000])
async def test_an_odd_mark_is_no_error_of_the_sites(librarian: httpx2.AsyncClient, address: str, odd: str) -> None:
    assert (await librarian.post(address, data=FORM | {"_seen": odd} | SAVE)).status_code in (302, 412)
