"""A form sent twice has one effect and one answer."""

import asyncio
import re
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from apps.accounts.testing import add_user, sign_in_as
from project.core import enqueue
from project.core.db.effects import Effect
from project.core.db.models import now
from project.core.testing.jobs import Jobs
from tests.core.probe import forms
from tests.core.probe.models import Note

NOTES = "/probe/notes"
TOKEN = re.compile(r'name="_once" value="([^"]+)"')


async def token(client: httpx2.AsyncClient) -> str:
    found = TOKEN.search((await client.get(NOTES)).text)
    assert found
    return found[1]


async def count(app: FastAPI, table: type = Note) -> int:
    async with app.state.runtime.unit_of_work(write=False) as db:
        return int(await db.scalar(select(func.count()).select_from(table)) or 0)


async def test_a_form_sent_again_gets_the_first_answer_and_has_no_second_effect(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    first, second = [await probe.post(NOTES, data=form) for _ in range(2)]
    assert (first.status_code, first.headers["location"]) == (303, NOTES)
    assert (second.status_code, second.headers["location"]) == (303, NOTES)
    assert "Noted." in (await probe.get(NOTES)).text
    assert await count(probe_app) == 1


async def test_ten_at_the_same_moment_have_one_effect(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    answers = await asyncio.gather(*[probe.post(NOTES, data=form) for _ in range(10)])
    assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {(303, NOTES)}
    assert await count(probe_app) == 1


async def test_htmx_gets_the_first_answer_in_its_own_way(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form, htmx = {"_once": await token(probe), "body": "hello"}, {"HX-Request": "true"}
    await probe.post(NOTES, data=form)
    again = await probe.post(NOTES, data=form, headers=htmx)
    assert (again.status_code, again.headers["hx-redirect"]) == (204, NOTES)
    fragment = {"_once": await token(probe), "body": "more"}
    first, second = [await probe.post(f"{NOTES}/fragment", data=fragment, headers=htmx) for _ in range(2)]
    assert (second.status_code, second.text) == (200, first.text)
    assert await count(probe_app) == 2


async def test_other_data_another_form_or_no_token_is_another_effect(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    await probe.post(NOTES, data=form)
    await probe.post(NOTES, data=form | {"body": "mended after going back"})
    await probe.post(NOTES, data=form | {"_once": await token(probe)})
    await probe.post(f"{NOTES}/fragment", data=form)
    await probe.post(f"{NOTES}?draft=1", data=form)
    for _ in range(2):
        await probe.post(NOTES, data={"body": "hello"})
    assert await count(probe_app) == 7


async def test_a_refused_form_may_be_sent_again(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe)}
    assert (await probe.post(NOTES, data=form | {"body": "x"})).status_code == 422
    assert (await probe.post(NOTES, data=form | {"body": "long enough"})).status_code == 303
    assert await count(probe_app) == 1


async def test_the_answer_is_for_whoever_sent_the_form(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    await probe.post(NOTES, data=form)
    await sign_in_as(probe, probe_app, await add_user(probe_app))
    await probe.post(NOTES, data=form)
    assert await count(probe_app) == 2


async def test_a_commit_that_fails_keeps_no_answer(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe), "parent_id": "1"}  # there is no such parent: the commit fails
    first, second = [await probe.post("/probe/children", data=form) for _ in range(2)]
    assert (first.status_code, second.status_code) == (409, 409)
    assert await count(probe_app, Effect) == 0


async def test_neither_the_token_nor_a_session_is_stored(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    await probe.post(NOTES, data=form)
    sign_up = {"_once": await token(probe), "email": "ann@example.com", "password": "correct horse battery"}
    assert (await probe.post("/accounts/signup", data=sign_up)).status_code == 303
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        rows = list(await db.scalars(select(Effect)))
    assert len(rows) == 1
    assert form["_once"] not in str(rows[0].model_dump())


async def test_a_form_without_an_effect_leaves_no_row(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    assert (await probe.post(f"{NOTES}/preview", data=form)).status_code == 200
    assert await count(probe_app, Effect) == 0


@pytest.mark.parametrize("kind", ["long", "secret", "empty"])
async def test_an_answer_that_is_not_kept_whole_counts_all_the_same(
    probe: httpx2.AsyncClient, probe_app: FastAPI, kind: str
) -> None:
    address, form = f"{NOTES}/long?kind={kind}", {"_once": await token(probe), "body": "hello"}
    came_from = {"Referer": f"{probe.base_url}{NOTES}?q=1"}
    first, second = [await probe.post(address, data=form, headers=came_from) for _ in range(2)]
    assert first.status_code == 200
    if kind == "empty":
        assert (second.status_code, second.text) == (200, "")
    else:
        assert (second.status_code, second.headers["location"]) == (303, NOTES)
        assert "This was done already." in (await probe.get(NOTES)).text
        unsaid = await probe.post(address, data=form)
        assert unsaid.headers["location"] == "/"
    assert await count(probe_app) == 1
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        assert "sk_live" not in str((await db.scalars(select(Effect))).one().model_dump())


async def test_the_handler_does_not_run_for_a_repeat(probe: httpx2.AsyncClient) -> None:
    forms.RAN.clear()
    form = {"_once": await token(probe), "body": "hello"}
    for _ in range(2):
        await probe.post(NOTES, data=form)
    assert forms.RAN == ["note"]


@pytest.mark.parametrize("driver", [False, True])
async def test_what_was_written_in_raw_sql_is_kept_and_counts(
    probe: httpx2.AsyncClient, probe_app: FastAPI, driver: bool
) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    for _ in range(2):
        assert (await probe.post(f"{NOTES}/raw?driver={driver}", data=form)).status_code == 303
    assert await count(probe_app) == 1


async def test_another_file_of_the_same_name_and_size_is_another_effect(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    form = {"_once": await token(probe), "caption": "Sea"}
    for content in (b"a" * 10, b"a" * 10, b"b" * 10):
        files = {"picture": ("a.png", content, "image/png")}
        assert (await probe.post("/probe/pictures", data=form, files=files)).status_code == 200
    assert await count(probe_app) == 2


async def test_a_page_and_a_fragment_are_not_taken_for_each_other(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    form = {"_once": await token(probe), "body": "hello"}
    await probe.post(f"{NOTES}/fragment", data=form, headers={"HX-Request": "true"})
    assert (await probe.post(f"{NOTES}/fragment", data=form)).status_code == 303
    assert await count(probe_app) == 1


async def test_old_answers_are_swept_away_by_a_job(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    runtime = probe_app.state.runtime
    await probe.post(NOTES, data={"_once": await token(probe), "body": "first"})
    async with runtime.unit_of_work() as db:
        await db.execute(update(Effect).values(created_at=now() - timedelta(hours=25)))
        await enqueue(db, "core.sweep")
    await probe.post(NOTES, data={"_once": await token(probe), "body": "second"})
    await Jobs(runtime).run()
    assert await count(probe_app, Effect) == 1


async def test_old_answers_are_forgotten(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    await probe.post(NOTES, data={"_once": await token(probe), "body": "hello"})
    runtime = probe_app.state.runtime
    for hours, kept in ((23, 1), (25, 0)):
        async with runtime.unit_of_work() as db:
            await db.execute(update(Effect).values(created_at=now() - timedelta(hours=hours)))
            await enqueue(db, "core.sweep")
        await Jobs(runtime).run()
        assert await count(probe_app, Effect) == kept
