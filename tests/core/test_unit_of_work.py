"""A 2xx means committed: over JSON, as a form, in the admin; on both databases."""

import asyncio

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text

from apps.accounts.testing import add_user, sign_in_as
from project.core import AsyncSession, Runtime
from project.core.db.session import ReadOnlyUnit
from tests.core.probe.app import HAPPENED
from tests.core.probe.models import Child, Counter, Parent

MISSING = 4711
TRIES = 200


async def children(app: FastAPI) -> int:
    async with app.state.runtime.unit_of_work(write=False) as db:
        count: int = (await db.execute(select(func.count()).select_from(Child))).scalar_one()
    return count


async def test_a_failing_commit_is_no_2xx_in_json(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    HAPPENED.clear()
    answer = await probe.post("/api/v1/probe/children", json={"parent_id": MISSING})
    assert answer.status_code == 409
    assert answer.json()["code"] == "conflict"
    assert "INSERT" not in answer.text
    assert (await children(probe_app), HAPPENED) == (0, [])


async def test_the_next_write_after_a_failing_commit_works(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    await probe.post("/api/v1/probe/children", json={"parent_id": MISSING})
    async with probe_app.state.runtime.unit_of_work() as db:
        db.add(Parent(id=1))
    assert (await probe.post("/api/v1/probe/children", json={"parent_id": 1})).status_code == 201
    assert await children(probe_app) == 1


async def test_a_good_commit_comes_before_the_answer(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    HAPPENED.clear()
    async with probe_app.state.runtime.unit_of_work() as db:
        db.add(Parent(id=1))
    answer = await probe.post("/api/v1/probe/children", json={"parent_id": 1})
    assert answer.status_code == 201
    assert (await children(probe_app), HAPPENED) == (1, ["committed"])


async def test_a_failing_commit_shows_the_form_again(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    answer = await probe.post("/probe/children", data={"parent_id": str(MISSING)})
    assert answer.status_code == 409
    assert f'value="{MISSING}"' in answer.text
    assert await children(probe_app) == 0


async def test_a_failing_commit_is_no_success_in_the_admin(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    await sign_in_as(probe, probe_app, await add_user(probe_app, is_superuser=True))
    answer = await probe.post("/admin/child/create", data={"parent_id": str(MISSING), "save": "Save"})
    assert answer.status_code >= 400
    assert "INSERT" not in answer.text
    assert await children(probe_app) == 0


async def test_a_get_cannot_write(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    answer = await probe.get("/api/v1/probe/write")
    assert answer.status_code == 500
    assert await children(probe_app) == 0


async def test_a_read_only_unit_refuses_statements_too(runtime: Runtime) -> None:
    from sqlmodel import delete

    from apps.accounts.models import User

    with pytest.raises(ReadOnlyUnit):
        async with runtime.unit_of_work(write=False) as db:
            await db.exec(delete(User))


async def test_a_reading_connection_cannot_write_even_by_hand(live_app: FastAPI) -> None:
    from sqlalchemy.exc import DBAPIError

    with pytest.raises(DBAPIError, match=r"readonly|read-only"):
        async with live_app.state.runtime.unit_of_work(write=False) as db:
            await (await db.connection()).execute(text("DELETE FROM accounts_user"))


async def test_a_unit_inside_a_unit_is_refused(probe: httpx2.AsyncClient) -> None:
    assert (await probe.post("/api/v1/probe/unit")).status_code == 500


async def test_what_raises_after_the_commit_changes_nothing(runtime: Runtime, db: AsyncSession) -> None:
    from apps.accounts.models import User
    from project.core import on_commit

    async def fail() -> None:
        raise RuntimeError("too late")

    async with runtime.unit_of_work() as unit:
        unit.add(User(email="kept@example.com", hashed_password="x"))
        on_commit(unit, fail)
    assert (await db.execute(select(func.count()).select_from(User))).scalar_one() == 1


async def test_increments_at_once_lose_none(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    async with probe_app.state.runtime.unit_of_work() as db:
        db.add(Counter(id=1, count=0))
    statuses: list[int] = []

    async def increment() -> None:
        statuses.append((await probe.post("/api/v1/probe/increment")).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(TRIES):
            tasks.start_soon(increment)
    async with probe_app.state.runtime.unit_of_work(write=False) as db:
        count = (await db.execute(select(Counter.count))).scalar_one()
    # On a busy machine the last in the queue are told to come back; whoever was told 200 is counted.
    assert (len(statuses), set(statuses) - {200, 503}, count) == (TRIES, set(), statuses.count(200))
    assert count > TRIES // 4


async def test_sqlite_readers_do_not_wait_for_a_writer(probe_app: FastAPI, probe: httpx2.AsyncClient) -> None:
    database = probe_app.state.runtime.database
    async with database.unit_of_work() as writing:
        writing.add(Parent(id=9))
        await writing.flush()
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                with anyio.fail_after(2):
                    assert (await probe.get("/health/ready")).status_code == 200

            tasks.start_soon(read)


LONG = {
    True: "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000000) SELECT count(*) FROM c",
    False: "SELECT pg_sleep(30)",
}


async def test_a_cancelled_write_lets_the_next_one_in_at_once(probe_app: FastAPI) -> None:
    database = probe_app.state.runtime.database

    async def write_for_long() -> None:
        async with asyncio.timeout(0.3), database.unit_of_work() as db:
            db.add(Parent(id=1))
            await db.flush()
            await db.execute(text(LONG[database.is_sqlite]))

    with anyio.fail_after(5), pytest.raises(TimeoutError):
        await write_for_long()
    with anyio.fail_after(5):
        async with database.unit_of_work() as db:
            db.add(Parent(id=2))
    async with database.unit_of_work(write=False) as db:
        assert list((await db.execute(select(Parent.id))).scalars()) == [2]
