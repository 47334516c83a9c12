"""Logging in and out: sessions on the server, limits at every door, nothing given away."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from runpy import run_path

import httpx2
import pytest
from fastapi import FastAPI
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlmodel import select

from apps.accounts import manager
from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user
from project.core import AsyncSession, now
from project.core.testing.plugin import MakeSettings, NewClient, running

pytestmark = pytest.mark.any_database

ANN = {"email": "ann@example.com", "password": PASSWORD}
LOGIN, ME, TOKEN = "/api/v1/accounts/login", "/api/v1/accounts/me", "/api/v1/accounts/token"


async def test_json_log_in_sets_a_cookie_that_proves_who_one_is(
    client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user()
    answer = await client.post(LOGIN, json=ANN)
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Max-Age" not in cookie
    assert (await client.get(ME)).json()["email"] == "ann@example.com"


async def test_remembered_log_ins_outlive_the_browser(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    answer = await client.post(LOGIN, json=ANN | {"remember": True})
    assert "Max-Age=2592000" in answer.headers["set-cookie"]


async def test_on_https_the_cookie_is_secure_and_bound_to_the_host(make_settings: MakeSettings, tmp_path: Path) -> None:
    from project.core.db.migrations import migrate_database

    settings = make_settings(SITE_URL="https://example.com", DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite3")
    await migrate_database(settings.database_url)
    async with running(settings) as app:
        await add_user(app)
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="https://example.com") as client:
            cookie = (await client.post(LOGIN, json=ANN)).headers["set-cookie"]
    assert cookie.startswith("__Host-sid=")
    assert "Secure" in cookie
    assert "Domain" not in cookie


async def test_the_page_leads_where_the_person_wanted_to_go(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    page = await client.get("/accounts/login?next=/accounts/profile")
    assert 'value="/accounts/profile"' in page.text
    answer = await client.post("/accounts/login", data=ANN | {"next": "/accounts/profile"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts/profile")


async def test_the_page_never_leads_off_the_site(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    answer = await client.post("/accounts/login", data=ANN | {"next": "//evil.example"})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize("wrong", [{"password": "wrong password"}, {"email": "nobody@example.com"}])
async def test_a_wrong_log_in_does_not_tell_what_was_wrong(
    client: httpx2.AsyncClient, make_user: MakeUser, wrong: dict[str, str]
) -> None:
    await make_user()
    answer = await client.post(LOGIN, json=ANN | wrong)
    document = answer.json() | {"request_id": ""}
    assert answer.status_code == 422
    assert document["errors"] == [
        {"field": "", "code": "invalid_credentials", "message": "E-mail or password is not right."}
    ]


async def test_an_inactive_account_is_refused_like_a_wrong_password(
    client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user(is_active=False)
    inactive = await client.post(LOGIN, json=ANN)
    unknown = await client.post(LOGIN, json=ANN | {"email": "nobody@example.com"})
    assert inactive.status_code == unknown.status_code
    assert inactive.json() | {"request_id": ""} == unknown.json() | {"request_id": ""}


async def test_logging_in_never_keeps_a_session_the_browser_brought(
    client: httpx2.AsyncClient, make_user: MakeUser, sign_in: SignIn
) -> None:
    await make_user()
    await sign_in("planted@example.com")
    planted = client.cookies["sid"]
    await client.post(LOGIN, json=ANN)
    assert client.cookies["sid"] != planted
    client.cookies.set("sid", planted, domain="127.0.0.1")
    assert (await client.get(ME)).status_code == 401


@pytest.mark.parametrize("door", ["/accounts/logout", "/api/v1/accounts/logout"])
async def test_logging_out_ends_the_session_on_the_server(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, door: str
) -> None:
    await sign_in()
    token = client.cookies["sid"]
    assert (await client.post(door)).status_code in (204, 303)
    client.cookies.set("sid", token, domain="127.0.0.1")
    assert (await client.get(ME)).status_code == 401
    assert (await db.exec(select(Session))).first() is None


async def test_an_expired_session_is_nobody(client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession) -> None:
    await sign_in()
    row = (await db.exec(select(Session))).one()
    row.expires_at = now() - timedelta(seconds=1)
    await db.flush()
    assert (await client.get(ME)).status_code == 401


async def test_a_deactivated_person_is_out_at_once(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in()
    row = await db.get_one(User, user.id)
    row.is_active = False
    await db.flush()
    assert (await client.get(ME)).status_code == 401


async def test_a_session_remembers_when_it_was_used(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    row = (await db.exec(select(Session))).one()
    row.last_seen_at = now() - timedelta(hours=1)
    await db.flush()
    await client.get(ME)
    await db.refresh(row)
    assert now() - row.last_seen_at < timedelta(minutes=1)


@pytest.mark.parametrize("door", ["json", "page", "token"])
async def test_the_eleventh_try_for_an_account_is_refused_whoever_tries(
    client: httpx2.AsyncClient, make_user: MakeUser, door: str
) -> None:
    await make_user()

    async def attempt(password: str) -> httpx2.Response:
        if door == "json":
            return await client.post(LOGIN, json=ANN | {"password": password})
        if door == "page":
            return await client.post("/accounts/login", data=ANN | {"password": password})
        return await client.post(TOKEN, data={"username": "ANN@example.com", "password": password})

    tries = [await attempt("wrong password") for _ in range(10)]
    assert {answer.status_code for answer in tries} <= {400, 422}
    locked = await attempt(PASSWORD)
    assert locked.status_code == 429
    assert 1 <= int(locked.headers["retry-after"]) <= 300


async def test_a_good_log_in_does_not_wash_the_bad_ones_off(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    for _ in range(9):
        await client.post(LOGIN, json=ANN | {"password": "wrong password"})
    assert (await client.post(LOGIN, json=ANN)).status_code == 200
    assert (await client.post(LOGIN, json=ANN)).status_code == 429


async def test_many_accounts_tried_from_one_address_are_refused_too(client: httpx2.AsyncClient) -> None:
    answers = [
        (await client.post(LOGIN, json=ANN | {"email": f"user{number}@example.com"})).status_code
        for number in range(31)
    ]
    assert answers == [422] * 30 + [429]


async def test_another_account_from_another_address_is_not_hindered(
    app: FastAPI, new_client: NewClient, client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user("bob@example.com")
    for _ in range(11):
        await client.post(LOGIN, json=ANN)
    assert (await client.post(LOGIN, json=ANN | {"email": "bob@example.com"})).status_code == 200


async def test_a_weaker_hash_is_replaced_at_the_next_log_in(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager.HASHER, "password_hash", run_path(manager.__file__)["HASHER"].password_hash)
    weak = Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    user = await make_user()
    row = await db.get_one(User, user.id)
    row.hashed_password = weak
    await db.flush()
    assert (await client.post(LOGIN, json=ANN)).status_code == 200
    await db.refresh(row)
    assert "m=19456,t=2" in row.hashed_password


def test_a_hash_costs_what_owasp_asks_for_and_nobodys_as_much() -> None:
    """As the module has it; the tests have made it cheap."""
    real = run_path(manager.__file__)
    for each in (real["HASHER"].hash("x"), real["NOBODY"]):
        assert each.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_a_log_in_does_not_outlive_the_password_it_was_made_with(app: FastAPI, make_user: MakeUser) -> None:
    from starlette.requests import HTTPConnection

    from apps.accounts.manager import UserManager
    from apps.accounts.services import authenticate, open_browser_session
    from project.core import Invalid

    user, conn = await make_user(), HTTPConnection({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
    runtime = app.state.runtime
    async with runtime.unit_of_work() as db:
        verified = await authenticate(UserManager(db, runtime), app.state.limiter, conn, user.email, PASSWORD)
    async with runtime.unit_of_work() as db:
        await UserManager(db, runtime).set_password(await db.get_one(User, user.id), "a brand new one")
    with pytest.raises(Invalid):
        async with runtime.unit_of_work() as db:
            await open_browser_session(UserManager(db, runtime), conn, verified)


async def test_a_cookie_that_came_twice_or_under_a_similar_name_is_nobodys(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    await sign_in()
    token = client.cookies["sid"]
    client.cookies.clear()
    for header, status in [
        (f"sid={token}", 200),
        (f"other=1; sid={token}", 200),
        (f"sid={token}; sid=other", 401),
        (f"sid=other; sid={token}", 401),
        (f"\xa0sid={token}", 401),
        (f"\x85sid={token}", 401),
    ]:
        answer = await client.get(ME, headers={b"Cookie": header.encode("latin-1")})
        assert answer.status_code == status, header


@pytest.mark.parametrize(
    "typed", ["u@xn--bcher-kva.example", "ǰ@example.com", "ΐ@example.com", "u@example。com", "ＡNN@example.com"]
)
async def test_whoever_signs_up_can_log_in_as_typed(client: httpx2.AsyncClient, typed: str) -> None:
    data = {"email": typed, "password": PASSWORD}
    assert (await client.post("/api/v1/accounts/users", json=data)).status_code == 201
    assert (await client.post(LOGIN, json=data)).status_code == 200
    assert (await client.post(TOKEN, data={"username": typed, "password": PASSWORD})).status_code == 200


async def test_an_address_with_a_name_is_refused(client: httpx2.AsyncClient) -> None:
    data = {"email": "Ann <ann@example.com>", "password": PASSWORD}
    assert (await client.post("/api/v1/accounts/users", json=data)).status_code == 422


@pytest.mark.parametrize("door", ["/accounts/logout", "/api/v1/accounts/logout"])
async def test_logging_out_takes_the_cookie_away(client: httpx2.AsyncClient, sign_in: SignIn, door: str) -> None:
    await sign_in()
    cookie = next(line for line in (await client.post(door)).headers.get_list("set-cookie") if line.startswith("sid="))
    assert cookie.startswith('sid="";')
    assert "Max-Age=0" in cookie


async def test_the_page_ends_the_session_that_came_along(
    client: httpx2.AsyncClient, make_user: MakeUser, sign_in: SignIn, db: AsyncSession
) -> None:
    await make_user()
    await sign_in("former@example.com")
    await client.post("/accounts/login", data=ANN)
    assert len((await db.exec(select(Session))).all()) == 1
    await client.post("/accounts/signup", data={"email": "new@example.com", "password": PASSWORD})
    assert len((await db.exec(select(Session))).all()) == 1


async def test_the_adapter_leaves_the_commit_to_the_unit_of_work(app: FastAPI) -> None:
    from apps.accounts.manager import UserDB

    class Stop(Exception):
        pass

    runtime = app.state.runtime
    with suppress(Stop):
        async with runtime.unit_of_work() as db:
            users = UserDB(db)
            user = await users.create({"email": "half@example.com", "hashed_password": "x"})
            await users.update(user, {"name": "Half"})
            raise Stop
    async with runtime.unit_of_work(write=False) as db:
        assert (await db.exec(select(User))).first() is None
