"""`Idempotency-Key`: a request of the JSON API sent twice has one effect and one answer."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from apps.accounts.testing import add_user, sign_in_as
from project.core import enqueue
from project.core.db.effects import Effect
from project.core.db.models import now
from project.core.testing.jobs import Jobs
from tests.core.probe import keyed
from tests.core.probe.models import Note

AT = "/api/v1/probe/keyed"
NOTES = f"{AT}/notes"
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
REPLAYED = "idempotency-replayed"


@pytest.fixture
async def ann(probe: httpx2.AsyncClient, probe_app: FastAPI) -> httpx2.AsyncClient:
    """A client of somebody who is signed in."""
    keyed.RAN.clear()
    await sign_in_as(probe, probe_app, await add_user(probe_app))
    return probe


async def twice(client: httpx2.AsyncClient, path: str, **sent: Any) -> tuple[httpx2.Response, httpx2.Response]:
    return await client.post(path, headers=KEY, **sent), await client.post(path, headers=KEY, **sent)


async def count(app: FastAPI, table: type = Note) -> int:
    async with app.state.runtime.unit_of_work(write=False) as db:
        return int(await db.scalar(select(func.count()).select_from(table)) or 0)


async def test_the_second_request_gets_the_first_answer(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first, second = await twice(ann, NOTES, json={"body": "hello"})
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    for name in ("location", "x-told", "content-type", "content-length"):
        assert second.headers[name] == first.headers[name]
    assert (first.headers.get(REPLAYED), second.headers[REPLAYED]) == (None, "true")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert keyed.RAN == ["hello"]
    assert await count(probe_app) == 1


async def test_ten_at_the_same_moment_have_one_effect_and_equal_answers(
    ann: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    sent = [ann.post(NOTES, json={"body": "hello"}, headers=KEY) for _ in range(10)]
    answers = await asyncio.gather(*sent)
    assert {(answer.status_code, answer.text, answer.headers["location"]) for answer in answers} == {
        (201, answers[0].text, answers[0].headers["location"])
    }
    assert [answer.headers.get(REPLAYED) for answer in answers].count(None) == 1
    assert await count(probe_app) == 1


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_every_method_that_writes_takes_it_even_where_a_dependency_finds_nothing_any_more(
    ann: httpx2.AsyncClient, probe_app: FastAPI, method: str
) -> None:
    note = (await ann.post(NOTES, json={"body": "a"})).json()
    content = None if method == "DELETE" else {"body": "b"}
    first, second = [await ann.request(method, f"{NOTES}/{note['id']}", headers=KEY, json=content) for _ in range(2)]
    assert (first.status_code, first.text) == ((204, "") if method == "DELETE" else (200, second.text))
    assert (second.status_code, second.headers[REPLAYED]) == (first.status_code, "true")
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        assert list(await db.scalars(select(Note.body))) == ([] if method == "DELETE" else ["ab"])


async def test_the_same_key_with_other_data_is_refused(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    await ann.post(NOTES, json={"body": "hello"}, headers=KEY)
    for other in (
        await ann.post(NOTES, json={"body": "other"}, headers=KEY),
        await ann.post(f"{NOTES}?draft=1", json={"body": "hello"}, headers=KEY),
    ):
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        assert REPLAYED not in other.headers
    assert await count(probe_app) == 1


async def test_other_data_at_the_same_moment_is_refused(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    sent = [ann.post(NOTES, json={"body": str(number)}, headers=KEY) for number in range(6)]
    answers = await asyncio.gather(*sent)
    assert sorted(answer.status_code for answer in answers) == [201] + [422] * 5
    assert await count(probe_app) == 1


async def test_another_method_path_or_key_and_no_key_are_another_effect(
    ann: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    note = (await ann.post(NOTES, json={"body": "a"}, headers=KEY)).json()
    for method, body in (("PUT", "ab"), ("PATCH", "abb")):
        answer = await ann.request(method, f"{NOTES}/{note['id']}", json={"body": "b"}, headers=KEY)
        assert (answer.status_code, answer.json()["body"]) == (200, body)
    await ann.post(f"{AT}/raw", content=b"x", headers=KEY)
    await ann.post(NOTES, json={"body": "a"}, headers={"Idempotency-Key": "another"})
    for _ in range(2):
        await ann.post(NOTES, json={"body": "a"})
    assert await count(probe_app) == 5


async def test_a_key_belongs_to_one_person(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first = await ann.post(NOTES, json={"body": "mine"}, headers=KEY)
    await sign_in_as(ann, probe_app, await add_user(probe_app, "bob@example.com"))
    second = await ann.post(NOTES, json={"body": "mine"}, headers=KEY)
    assert second.json()["id"] != first.json()["id"]
    assert await count(probe_app) == 2


async def test_nobody_signed_in_reads_the_answer_of_another(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first, second = await twice(probe, NOTES, json={"body": "hello"})
    assert first.json()["id"] != second.json()["id"]
    assert await count(probe_app, Effect) == 0


@pytest.mark.parametrize("key", ["", '""', "é", "tab\there", "x" * 256], ids=["empty", "quoted", "é", "tab", "long"])
async def test_a_key_that_is_none_is_refused(ann: httpx2.AsyncClient, probe_app: FastAPI, key: str) -> None:
    headers = {"Idempotency-Key": key.encode("latin-1")}
    answer = await ann.post(NOTES, json={"body": "hello"}, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert "1 to 255 printable ASCII characters" in answer.json()["detail"]
    assert await count(probe_app) == 0


async def test_quotes_around_a_key_are_not_part_of_it(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    for key in ("x" * 255, f'"{"x" * 255}"'):
        answer = await ann.post(NOTES, json={"body": "hello"}, headers={"Idempotency-Key": key})
        assert answer.status_code == 201
    assert await count(probe_app) == 1


@pytest.mark.parametrize("kind", ["cookie", "secret", "error", "refused"])
async def test_an_answer_that_is_for_one_time_only_is_not_kept(
    ann: httpx2.AsyncClient, probe_app: FastAPI, kind: str
) -> None:
    first, second = await twice(ann, NOTES, json={"body": "hello", "kind": kind})
    assert (second.status_code, second.headers.get(REPLAYED)) == (first.status_code, None)
    assert await count(probe_app, Effect) == 0
    assert keyed.RAN == ["hello", "hello"]


@pytest.mark.parametrize("path", ["streamed", "looked"])
async def test_what_is_streamed_or_wrote_nothing_is_not_kept(
    ann: httpx2.AsyncClient, probe_app: FastAPI, path: str
) -> None:
    first, second = await twice(ann, f"{AT}/{path}")
    assert (first.text, REPLAYED in second.headers) == (second.text, False)
    assert await count(probe_app, Effect) == 0


async def test_an_answer_too_long_to_keep_is_missing_but_the_effect_is_one(
    ann: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    first, second = await twice(ann, NOTES, json={"body": "hello", "kind": "long"})
    assert (first.status_code, second.status_code, second.json()["code"]) == (201, 409, "done_already")
    assert await count(probe_app) == 1


async def test_a_refused_request_may_be_mended_with_the_same_key(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    assert (await ann.post(NOTES, json={}, headers=KEY)).status_code == 422
    assert (await ann.post(NOTES, json={"body": "hello"}, headers=KEY)).status_code == 201
    assert await count(probe_app) == 1


async def test_a_form_is_the_same_whatever_its_boundary_and_another_with_another_file(
    ann: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    answers = []
    for content in (b"a", b"a", b"b"):
        files = {"content": ("a.txt", content, "text/plain")}  # each with a boundary of its own
        answers.append(await ann.post(f"{AT}/forms", data={"title": "Sea"}, files=files, headers=KEY))
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert answers[1].json() == {"title": "Sea", "content": "a"}
    assert await count(probe_app) == 1


async def test_a_handler_that_reads_the_body_itself_finds_it_whole(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first, second = await twice(ann, f"{AT}/raw", content=b"12345")
    assert (first.json(), second.json()) == ({"size": 5}, {"size": 5})
    assert await count(probe_app) == 1


@pytest.mark.parametrize("path", ["traced", "object"])
async def test_an_endpoint_may_be_decorated_or_an_object(
    ann: httpx2.AsyncClient, probe_app: FastAPI, path: str
) -> None:
    first, second = await twice(ann, f"{AT}/{path}")
    assert (first.status_code, second.status_code, second.text) == (200, 200, first.text)
    assert await count(probe_app) == 1
    assert (["decorated"] if path == "traced" else []) == keyed.RAN


async def test_a_dependency_may_have_asked_the_database_before(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first, second = await twice(ann, f"{AT}/gated")
    assert (first.json(), second.json(), second.headers[REPLAYED]) == ({"gated": 1}, {"gated": 1}, "true")
    assert await count(probe_app) == 1


async def test_a_commit_that_fails_keeps_no_answer(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    first, second = await twice(ann, "/api/v1/probe/children", json={"parent_id": 1})
    assert (first.status_code, second.status_code) == (409, 409)
    assert await count(probe_app, Effect) == 0


async def test_no_secret_of_the_accounts_is_kept(probe: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    person = {"email": "ann@example.com", "password": "correct horse battery"}
    assert (await probe.post("/api/v1/accounts/users", json=person, headers=KEY)).status_code == 201
    assert (await probe.post("/api/v1/accounts/login", json=person, headers=KEY)).status_code == 200
    form = {"username": person["email"], "password": person["password"]}
    for _ in range(2):
        assert (await probe.post("/api/v1/accounts/token", data=form, headers=KEY)).status_code == 200
    assert (await probe.post("/api/v1/accounts/login", json=person, headers=KEY)).status_code == 200
    assert await count(probe_app, Effect) == 0


async def test_neither_the_key_nor_the_request_is_stored(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    await ann.put(f"{NOTES}/1", json={"body": "hello"}, headers=KEY)
    await ann.post(f"{AT}/raw", content=b"the secret of the request", headers=KEY)
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        kept = str((await db.scalars(select(Effect))).one().model_dump())
    assert KEY["Idempotency-Key"] not in kept
    assert "secret" not in kept


async def test_after_a_day_the_key_is_forgotten(ann: httpx2.AsyncClient, probe_app: FastAPI) -> None:
    runtime = probe_app.state.runtime
    await ann.post(NOTES, json={"body": "hello"}, headers=KEY)
    async with runtime.unit_of_work() as db:
        await db.execute(update(Effect).values(created_at=now() - timedelta(hours=25)))
        await enqueue(db, "core.sweep")
    await Jobs(runtime).run()
    assert await count(probe_app, Effect) == 0


async def test_the_docs_name_the_header_where_something_is_written(probe_app: FastAPI) -> None:
    for _ in range(2):
        paths = probe_app.openapi()["paths"]
        for path, methods in ((NOTES, {"post"}), (f"{NOTES}/{{note_id}}", {"put", "patch", "delete"})):
            for method in methods:
                names = [each["name"] for each in paths[path][method].get("parameters", [])]
                assert sorted(names) == ["Idempotency-Key", *(["note_id"] if "{" in path else [])]
        assert "parameters" not in paths["/api/v1/probe/dependency"]["get"]
