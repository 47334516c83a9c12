"""The admin's form keeps what a column holds: lines, choices, and no stray files."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from apps.accounts.testing import add_user, sign_in_as
from tests.core.probe.models import Note, Page, State

pytestmark = pytest.mark.any_database

TEXT = "one\ntwo\n\nfour"


@pytest.fixture
async def note(probe_app: FastAPI, probe: httpx2.AsyncClient) -> int:
    await sign_in_as(probe, probe_app, await add_user(probe_app, is_superuser=True))
    async with probe_app.state.runtime.unit_of_work() as db:
        row = Note(body=TEXT, state=State.LIVE)
        db.add(row)
    return row.id


async def stored(app: FastAPI) -> Note:
    async with app.state.runtime.unit_of_work(write=False) as db:
        row: Note = (await db.execute(select(Note))).scalar_one()
    return row


async def test_a_long_text_keeps_its_lines(probe_app: FastAPI, probe: httpx2.AsyncClient, note: int) -> None:
    page = await probe.get(f"/admin/note/edit/{note}")
    assert "<textarea" in page.text
    form = {"body": TEXT, "state": "draft", "save": "Save"}
    assert (await probe.post(f"/admin/note/edit/{note}", data=form)).status_code == 302
    row = await stored(probe_app)
    assert (row.body, row.state) == (TEXT, State.DRAFT)


async def test_the_stored_choice_is_the_chosen_one(probe: httpx2.AsyncClient, note: int) -> None:
    page = await probe.get(f"/admin/note/edit/{note}")
    assert '<option selected value="live">' in page.text


async def test_a_choice_that_is_none_is_refused_in_a_sentence(
    probe_app: FastAPI, probe: httpx2.AsyncClient, note: int
) -> None:
    answer = await probe.post(f"/admin/note/edit/{note}", data={"body": "x", "state": "live", "save": "Save"})
    assert answer.status_code in (400, 422)
    assert "Use at least 3 characters." in answer.text
    assert (await stored(probe_app)).body == TEXT


async def test_a_file_where_none_belongs_is_refused(probe_app: FastAPI, probe: httpx2.AsyncClient, note: int) -> None:
    files = {"body": ("../../a", b"x", "text/plain")}
    answer = await probe.post(f"/admin/note/edit/{note}", data={"state": "live"}, files=files)
    assert answer.status_code == 400
    assert (await stored(probe_app)).body == TEXT


async def test_the_version_of_a_row_is_counted_and_never_typed(
    probe_app: FastAPI, probe: httpx2.AsyncClient, note: int
) -> None:
    async with probe_app.state.runtime.unit_of_work() as db:
        page = Page(body="first")
        db.add(page)
    address = f"/admin/page/edit/{page.id}"
    assert 'name="version"' not in (await probe.get(address)).text
    for body in ("second", "third"):
        assert (await probe.post(address, data={"body": body, "version": "1", "save": "Save"})).status_code == 302
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        row = (await db.execute(select(Page))).scalar_one()
    assert (row.body, row.version) == ("third", 3)
