"""The history of what staff changes: complete, without secrets, and in one transaction with the change."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import Session, User
from project.core import enqueue, now
from project.core.admin.audit import SECRET
from project.core.db.audit import AuditEntry
from project.core.jobs import Job, State
from project.core.log import MASK
from project.core.testing.jobs import Jobs
from tests.core.library.models import Author, Genre, Novel

SAVE = {"save": "Save"}
NOVEL = {"title": "Emma", "pages": "400", "mood": "HAPPY"} | SAVE


async def add(app: FastAPI, row: Any) -> Any:
    async with app.state.runtime.unit_of_work() as db:
        db.add(row)
    return row


async def stored(app: FastAPI, model: type[Any]) -> list[Any]:
    async with app.state.runtime.unit_of_work(write=False) as db:
        return list((await db.exec(select(model).order_by(model.id))).all())


async def history(app: FastAPI) -> list[AuditEntry]:
    return await stored(app, AuditEntry)


async def test_adding_changing_and_deleting_is_written_down_field_by_field(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    await librarian.post("/admin/novel/create", data=NOVEL)
    (novel,) = await stored(library, Novel)
    answer = await librarian.post(f"/admin/novel/edit/{novel.id}", data=NOVEL | {"title": "Emma II", "mood": "SAD"})
    assert answer.status_code == 302
    await librarian.delete(f"/admin/novel/delete?pks={novel.id}")
    added, changed, deleted = await history(library)
    (root,) = await stored(library, User)
    for entry in (added, changed, deleted):
        assert (entry.actor, entry.actor_id) == ("root@example.com", root.id)
        assert (entry.kind, entry.row_id) == ("library_novel", str(novel.id))
    assert [entry.action for entry in (added, changed, deleted)] == ["add", "change", "delete"]
    assert [entry.words for entry in (added, changed, deleted)] == ["Emma", "Emma II", "Emma II"]
    assert added.changes["pages"] == [None, 400]
    assert changed.changes == {"title": ["Emma", "Emma II"], "mood": ["happy", "sad"]}
    assert changed.request_id == answer.headers["x-request-id"]
    assert deleted.changes["title"] == ["Emma II", None]


async def test_a_secret_leaves_its_mark_and_not_its_value(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    await librarian.post("/admin/novel/create", data=NOVEL)
    await librarian.post("/admin/novel/action/empty")
    added, emptied = await history(library)
    assert added.changes["api_token"] == added.changes["file_hash"] == [None, MASK]
    assert emptied.changes == {"pages": [400, 0], "api_token": [MASK, MASK]}
    assert not any("hush" in entry.model_dump_json() for entry in (added, emptied))


def test_what_a_log_masks_by_its_name_the_admin_never_shows() -> None:
    secret = ["api_key", "passphrase", "pwd", "credentials", "session_key", "private_key", "token_hash", "reset_token"]
    assert [name for name in secret if not SECRET.search(name)] == []
    assert [name for name in ("email", "keyword", "monkey", "side", "passed_at", "name") if SECRET.search(name)] == []


async def test_actions_are_told_by_their_name_whatever_way_they_write(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    novels = [await add(library, Novel(title=title, pages=3)) for title in ("Emma", "Persuasion")]
    await librarian.post(f"/admin/novel/action/shout?pks={novels[0].id}")
    await librarian.post("/admin/novel/action/empty")
    found = await history(library)
    assert (found[0].action, found[0].words) == ("shout", "EMMA")
    assert {(entry.action, entry.words) for entry in found[1:]} == {("empty", "EMMA"), ("empty", "Persuasion")}
    assert found[0].changes == {"title": ["Emma", "EMMA"]}


async def test_a_job_cancelled_or_tried_again_by_staff_is_written_down(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    job = await add(
        library, Job(name="core.sweep", arguments={}, state=State.DEAD, due_at=now(), created_at=now(), error="boom")
    )
    await librarian.post(f"/admin/jobs/action/retry?pks={job.id}")
    await librarian.post(f"/admin/jobs/action/cancel?pks={job.id}")
    again, stopped = await history(library)
    assert (again.action, again.row_id, again.changes["state"]) == ("retry", str(job.id), ["dead", "queued"])
    assert again.changes["error"] == ["boom", ""]
    assert (stopped.action, stopped.changes["state"]) == ("cancel", ["queued", "cancelled"])


async def test_links_to_other_rows_are_told_by_their_names(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    genres = [await add(library, Genre(name=name)) for name in ("Romance", "Satire")]
    novel = await add(library, Novel(title="Emma"))
    for chosen in (genres[:1], genres):
        data = {"title": "Emma", "mood": "HAPPY", "genres": [str(each.id) for each in chosen]} | SAVE
        assert (await librarian.post(f"/admin/novel/edit/{novel.id}", data=data)).status_code == 302
    assert [entry.changes["genres"] for entry in await history(library)] == [
        [[], ["Romance"]],
        [["Romance"], ["Romance", "Satire"]],
    ]


async def test_the_whole_log_is_narrowed_by_the_tables_of_every_app(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    await librarian.post("/admin/novel/create", data=NOVEL)
    await librarian.post("/admin/author/create", data={"name": "Jane"} | SAVE)
    page = (await librarian.get("/admin/history/list")).text
    assert {"library_novel", "library_author", "accounts_user", "core_job"} <= set(re.findall(r"kind=(\w+)", page))
    page = (await librarian.get("/admin/history/list?kind=library_author")).text
    assert ("Jane" in page, "Emma" in page) == (True, False)


async def test_a_core_model_needs_no_line_for_it(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    bob = await add(library, User(email="bob@example.com", hashed_password="$argon2id$hush"))
    await librarian.post(f"/admin/user/edit/{bob.id}", data={"name": "Bob", "is_active": "on"} | SAVE)
    await librarian.delete(f"/admin/user/delete?pks={bob.id}")
    changed, deleted = await history(library)
    assert changed.changes == {"name": ["", "Bob"]}
    assert deleted.changes["hashed_password"] == [MASK, None]


async def test_what_is_saved_without_a_difference_leaves_no_trace(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    novel = await add(library, Novel(title="Emma", pages=400))
    assert (await librarian.post(f"/admin/novel/edit/{novel.id}", data=NOVEL)).status_code == 302
    assert await history(library) == []


async def test_a_change_whose_history_cannot_be_written_does_not_happen(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    novel, other = await add(library, Novel(title="Emma", pages=3)), await add(library, Novel(title="Persuasion"))
    async with library.state.runtime.database.engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE core_audit_entry RENAME TO elsewhere"))
    for answer in (
        await librarian.post("/admin/novel/create", data=NOVEL),
        await librarian.post(f"/admin/novel/edit/{novel.id}", data=NOVEL | {"title": "Emma II"}),
        await librarian.post(f"/admin/novel/action/shout?pks={novel.id}"),
        await librarian.post("/admin/novel/action/empty"),
        await librarian.delete(f"/admin/novel/delete?pks={novel.id},{other.id}"),
    ):
        assert answer.status_code == 503
    assert {(each.title, each.pages) for each in await stored(library, Novel)} == {("Emma", 3), ("Persuasion", 0)}


async def test_a_change_that_is_refused_has_no_history(library: FastAPI, librarian: httpx2.AsyncClient) -> None:
    author = await add(library, Author(name="Jane"))
    await add(library, Author(name="Anne"))
    assert (await librarian.post(f"/admin/author/edit/{author.id}", data={"name": "Anne"} | SAVE)).status_code == 409
    assert (await librarian.delete(f"/admin/author/delete?pks={author.id},{uuid4()}")).status_code == 404
    answer = await librarian.post("/admin/novel/create", data=NOVEL | {"author_id": str(uuid4())})
    assert answer.status_code == 409
    assert await history(library) == []


async def test_what_happens_outside_the_admin_is_not_the_staffs(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    await librarian.post("/accounts/profile/name", data={"name": "Root"})
    await add(library, Novel(title="Emma"))
    assert await history(library) == []


async def test_what_letting_somebody_in_writes_is_no_change_of_theirs(
    library: FastAPI, librarian: httpx2.AsyncClient
) -> None:
    async with library.state.runtime.unit_of_work() as db:
        await db.exec(sa.update(Session).values(last_seen_at=now() - timedelta(hours=1)))
    assert (await librarian.get("/admin/novel/list")).status_code == 200
    assert await history(library) == []


@pytest.mark.parametrize(("days", "left"), [(None, ["old", "new"]), (30, ["new"])])
async def test_history_is_kept_for_ever_or_as_long_as_the_site_says(
    library: FastAPI, librarian: httpx2.AsyncClient, days: float | None, left: list[str]
) -> None:
    runtime = library.state.runtime
    vars(runtime.settings)["AUDIT_KEPT_DAYS"] = days
    for words, age in (("old", 31), ("new", 29)):
        entry = AuditEntry(actor_id=uuid4(), actor="a", action="add", kind="x", row_id="1", words=words, changes={})
        entry.at = now() - timedelta(days=age)
        await add(library, entry)
    async with runtime.unit_of_work() as db:
        await enqueue(db, "core.sweep")
    await Jobs(runtime).run()
    assert [entry.words for entry in await history(library)] == left


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_writes_history_by_hand(library: FastAPI, librarian: httpx2.AsyncClient, method: str) -> None:
    await librarian.post("/admin/novel/create", data=NOVEL)
    (entry,) = await history(library)
    for path in ("create", f"edit/{entry.id}", f"delete?pks={entry.id}"):
        answer = await librarian.request(method, f"/admin/history/{path}", data={"words": "mine"} | SAVE)
        assert answer.status_code in (403, 405), path
    assert [each.words for each in await history(library)] == ["Emma"]
    assert UUID(str(entry.id)).version == 7
