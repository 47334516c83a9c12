"""The short ways a request takes: what is not asked again, and gives the same as the long way would."""

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import APIRouter, FastAPI
from sqlalchemy import func, select, text
from starlette.routing import NoMatchFound

from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, add_user, sign_in_as
from project.core import Runtime, templating
from project.core.asgi import _addresses, _ask_only_below
from project.core.db.recording import recorded
from project.core.db.session import ReadOnlyUnit

ID = UUID(int=7)


async def test_what_only_reads_opens_no_transaction_on_postgresql(live_app: FastAPI) -> None:
    database = live_app.state.runtime.database
    if database.is_sqlite:
        async with database.unit_of_work(write=False) as db:
            assert (await db.execute(text("PRAGMA query_only"))).scalar_one() == 1
        return
    moment = select(func.transaction_timestamp())
    for write in (False, True):
        async with database.unit_of_work(write=write) as db:
            moments = {(await db.execute(moment)).scalar_one() for _ in range(2)}
            only_reads = (await db.execute(text("SHOW transaction_read_only"))).scalar_one()
        assert (len(moments), only_reads) == ((1, "off") if write else (2, "on"))


@pytest.mark.any_database
async def test_who_asks_is_known_by_one_statement_and_so_is_their_account(
    live_app: FastAPI, live_client: httpx2.AsyncClient
) -> None:
    ann = await add_user(live_app)
    answer = await live_client.post("/api/v1/accounts/token", data={"username": ann.email, "password": PASSWORD})
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    await sign_in_as(live_client, live_app, ann)
    for headers in (bearer, {}):
        with recorded() as asked:
            shown = await live_client.get("/api/v1/accounts/me", headers=headers)
        assert (shown.json()["id"], shown.json()["email"], asked.count) == (str(ann.id), ann.email, 1)


@pytest.mark.any_database
def test_an_address_is_the_same_the_second_time_and_a_value_that_cannot_be_is_refused() -> None:
    app, asked = FastAPI(), list[str]()

    @app.get("/things/{thing_id}/{word}", name="thing")
    @app.get("/numbers/{number:int}", name="number")
    @app.get("/files/{path:path}", name="file")
    @app.get("/", name="home")
    async def answer() -> None: ...

    find: Any = app.url_path_for

    def asking(name: str, **params: Any) -> Any:
        asked.append(name)
        return find(name, **params)

    vars(app)["url_path_for"] = asking
    url = _addresses(app)
    for _ in range(2):
        assert url("home") == "/"
        assert url("thing", thing_id=ID, word="a {b}") == f"/things/{ID}/a {{b}}"
        assert url("number", number=5) == "/numbers/5"
        assert url("file", path="a/b.txt") == "/files/a/b.txt"
    assert (asked.count("home"), asked.count("thing")) == (1, 1)
    for wrong in ({"thing_id": "a/b", "word": "c"}, {"thing_id": "", "word": "c"}):
        with pytest.raises(AssertionError):
            url("thing", **wrong)
    with pytest.raises(NoMatchFound):
        url("thing", thing_id=ID)


@pytest.mark.any_database
async def test_a_router_is_asked_for_what_begins_like_it_and_behind_a_prefix_for_all() -> None:
    app, router = FastAPI(root_path=""), APIRouter()

    @router.get("/here")
    async def here() -> str:
        return "here"

    app.include_router(router, prefix="/a")
    included: Any = app.router.routes[-1]
    matches, asked = included.matches, list[str]()

    def asking(scope: Any) -> Any:
        asked.append(scope["path"])
        return matches(scope)

    vars(included)["matches"] = asking
    _ask_only_below(app, "/a")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert [(await client.get(path)).status_code for path in ("/a/here", "/b/here", "/a/there")] == [200, 404, 404]
    assert "/b/here" not in asked
    transport = httpx2.ASGITransport(app, root_path="/shop")
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/shop/a/here")).status_code == 200


@pytest.mark.any_database
def test_a_macro_is_found_once_in_production_and_again_while_one_edits(tmp_path: Path) -> None:
    for debug, second in ((False, "one"), (True, "two")):
        home = tmp_path / str(debug) / "core" / "ui"
        home.mkdir(parents=True)
        (home / "words.html").write_text("{% macro said() %}one{% endmacro %}")
        env = templating.environment(tmp_path / str(debug), [], debug=debug)
        ui: Any = env.globals["ui"]
        assert ui.said() == "one"
        (home / "words.html").write_text("{% macro said() %}two{% endmacro %} ")
        os.utime(home / "words.html", (1, 1))
        assert ui.said() == second


@pytest.mark.any_database
async def test_what_waits_to_be_written_when_a_reading_unit_ends_is_refused(runtime: Runtime) -> None:
    with pytest.raises(ReadOnlyUnit):
        async with runtime.unit_of_work(write=False) as db:
            db.add(User(email="ann@example.com", hashed_password="x"))
