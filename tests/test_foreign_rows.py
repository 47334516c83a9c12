"""What is not yours is not there: every address with an id answers a foreign row as it answers a missing one."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.models import ApiToken, Session, User
from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.db.models import now, uuid7
from project.core.db.session import AsyncSession
from project.core.jobs import Job
from project.core.testing.plugin import MakeSettings, NewClient
from project.core.testing.rows import rows_of
from tests import walks
from tests.test_routes import walk
from tests.walks import Add


async def job(db: AsyncSession, owner: User) -> UUID:
    row = Job(name="blog.hush", arguments={"title": "Hush"}, owner=owner.id, due_at=now(), created_at=now())
    db.add(row)
    return row.id


async def person(_: AsyncSession, owner: User) -> UUID:
    return owner.id


async def session(db: AsyncSession, owner: User) -> UUID:
    row = Session(user_id=owner.id, token_hash=uuid7().hex, expires_at=now() + timedelta(days=1))
    db.add(row)
    return row.id


async def token(db: AsyncSession, owner: User) -> UUID:
    end = now() + timedelta(days=1)
    row = ApiToken(user_id=owner.id, name="Hush", token_hash=uuid7().hex, scopes=["read"], expires_at=end)
    db.add(row)
    return row.id


ROWS: dict[str, Add] = {"user_id": person, "job_id": job, "session_id": session, "token_id": token, **walks.ROWS}
"""For the name of each id in an address: a row of that kind which belongs to the owner."""


def body_of(name: str) -> dict[str, Any]:
    """The arguments that send it: JSON to the API, a form to a page."""
    body = walks.BODIES.get(name, walks.example_of(name.partition(" ")[2]))
    return {"json" if " /api/" in name else "data": body or None}


def told(answer: httpx2.Response, wanted: UUID) -> tuple[int, bytes, dict[str, str]]:
    """All of an answer but the request's id, and the id that was asked for."""
    request_id = answer.headers["x-request-id"].encode()
    body = answer.content.replace(request_id, b"request").replace(str(wanted).encode(), b"wanted")
    volatile = {"x-request-id", "date", "server-timing"}
    return answer.status_code, body, {name: value for name, value in answer.headers.items() if name not in volatile}


@pytest.fixture(scope="module")
def addresses(make_settings: MakeSettings) -> dict[str, str]:
    """{"METHOD /path": name of the id} of what takes one and is not public, in the API and among the pages."""
    app = create_app(make_settings(INSTALLED_APPS=walks.WALKED))
    document = app.openapi()
    found = {
        f"{method.upper()} {path}": parameter["name"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path"
    }
    for name, _ in walk(app):
        ids = re.findall(r"{(\w+)}", name)
        if ids and not re.search(r"^SOCKET| /(admin|_dev|static)", name):
            found.setdefault(name, ids[0])
    return {name: of for name, of in found.items() if name not in walks.PUBLIC}


async def test_a_foreign_row_is_a_404_like_a_missing_one(
    app: FastAPI, new_client: NewClient, addresses: dict[str, str]
) -> None:
    ann, bob = await add_user(app), await add_user(app, "bob@example.com")
    mine, theirs = new_client(app), new_client(app)
    await sign_in_as(mine, app, ann)
    await sign_in_as(theirs, app, bob)
    assert {"GET /api/v1/accounts/users/{user_id}", "POST /jobs/{job_id}/cancel"} <= addresses.keys()
    assert set(walks.ROWS) <= set(addresses.values())
    for name, of in addresses.items():
        assert of in ROWS, f"{name}: tell ROWS how to add a row for {of!r}"
        method, _, path = name.partition(" ")
        async with app.state.runtime.unit_of_work() as db:
            foreign = await ROWS[of](db, bob)
        before = await rows_of(app.state.runtime.database, set())
        answers = []
        for wanted in (foreign, uuid7()):
            url = re.sub(r"{\w+}", str(wanted), path)
            answer = await mine.request(method, url, **body_of(name))
            assert "Hush" not in answer.text, name
            answers.append(told(answer, wanted))
        assert answers[0][0] == 404, name
        assert answers[0] == answers[1], name
        assert await rows_of(app.state.runtime.database, set()) == before, name


async def test_the_owner_finds_it_there(app: FastAPI, new_client: NewClient, addresses: dict[str, str]) -> None:
    """The same rows, so that the tests beside this one ask for what is there."""
    bob = await add_user(app, "bob@example.com")
    client = new_client(app)
    await sign_in_as(client, app, bob)
    own = {"job_id": job, **walks.ROWS}
    wanted = {name: of for name, of in addresses.items() if re.match(r"GET .*}$", name) and of in own}
    assert "GET /api/v1/jobs/{job_id}" in wanted
    for name, of in wanted.items():
        async with app.state.runtime.unit_of_work() as db:
            row = await own[of](db, bob)
        assert (await client.get(re.sub(r"{\w+}", str(row), name.partition(" ")[2]))).status_code == 200, name


async def test_a_foreign_row_is_no_different_to_staff_without_the_permission(
    app: FastAPI, new_client: NewClient, addresses: dict[str, str]
) -> None:
    bob = await add_user(app, "bob@example.com")
    client = new_client(app)
    await sign_in_as(client, app, await add_user(app, "staff@example.com", is_staff=True))
    for name, of in addresses.items():
        method, _, path = name.partition(" ")
        async with app.state.runtime.unit_of_work() as db:
            foreign = await ROWS[of](db, bob)
        answer = await client.request(method, re.sub(r"{\w+}", str(foreign), path), **body_of(name))
        assert answer.status_code == 404, name


@pytest.mark.parametrize(
    ("permission", "read", "cancelled"),
    [("core.job.view", 200, 404), ("core.job.change", 404, 200), ("accounts.user.view", 404, 404)],
)
async def test_the_jobs_of_others_are_seen_and_cancelled_by_those_who_may(
    app: FastAPI, new_client: NewClient, permission: str, read: int, cancelled: int
) -> None:
    bob = await add_user(app, "bob@example.com")
    client = new_client(app)
    await sign_in_as(client, app, await add_user(app, permissions=[permission]))
    async with app.state.runtime.unit_of_work() as db:
        foreign = await job(db, bob)
    assert (await client.get(f"/api/v1/jobs/{foreign}")).status_code == read
    assert (await client.get(f"/jobs/{foreign}")).status_code == read
    assert (await client.post(f"/api/v1/jobs/{foreign}/cancel")).status_code == cancelled
