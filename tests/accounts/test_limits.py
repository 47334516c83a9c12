"""Every door where something can be guessed or mailed is limited, by account and by address, by all workers."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.conf import AccountsSettings
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, confirm_sign_ups, links_for, sign_in_as
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.testing.redis_server import RedisServer

pytestmark = pytest.mark.any_database

API, PAGES = "/api/v1/accounts", "/accounts"
ANN, BOB = "ann@example.com", "bob@example.com"
WRONG = "not that one, sorry"
NEW = "a brand new one"
ACCOUNT, MAILS, SIGNUPS, ADDRESS, LINKS = 3, 4, 5, 6, 7
RATES = {
    "LOGIN_RATE_ACCOUNT": f"{ACCOUNT}/minute",
    "LOGIN_RATE_ADDRESS": f"{ADDRESS}/minute",
    "SIGNUP_RATE_ADDRESS": f"{SIGNUPS}/minute",
    "MAIL_RATE_ACCOUNT": f"{MAILS}/minute",
    "MAIL_RATE_ADDRESS": f"{LINKS}/minute",
}
# {door: (what it takes, how many tries pass)}; {n} is another number each time
JSON: dict[str, tuple[dict[str, Any], int]] = {
    "POST login": ({"email": ANN, "password": WRONG}, ACCOUNT),
    "POST users": ({"email": "new{n}@example.com", "password": WRONG}, SIGNUPS),
    "POST password/forgot": ({"email": ANN}, MAILS),
    "POST password/reset": ({"token": "x{n}", "new_password": NEW}, LINKS),
    "POST verify/request": ({"email": ANN}, MAILS),
    "POST verify/confirm": ({"token": "x{n}"}, LINKS),
    "POST email/change": ({"new_email": "new{n}@example.com", "password": WRONG}, ACCOUNT),
    "POST email/confirm": ({"token": "x{n}"}, LINKS),
    "POST password/change": ({"current_password": WRONG, "new_password": NEW}, ACCOUNT),
    "DELETE me": ({"password": WRONG}, ACCOUNT),
}
FORMS: dict[str, tuple[dict[str, Any], int]] = {
    "login": ({"email": ANN, "password": WRONG}, ACCOUNT),
    "signup": ({"email": "new{n}@example.com", "password": WRONG}, SIGNUPS),
    "forgot": ({"email": ANN}, MAILS),
    "reset": ({"new_password": NEW}, LINKS),
    "verify/request": ({"email": ANN}, MAILS),
    "verify": ({}, LINKS),
    "verify/resend": ({}, MAILS),
    "email": ({"new_email": "new{n}@example.com", "password": WRONG}, ACCOUNT),
    "email/confirm": ({}, LINKS),
    "password": ({"current_password": WRONG, "new_password": NEW}, ACCOUNT),
    "delete": ({"password": WRONG}, ACCOUNT),
}


def filled(data: dict[str, Any], number: int) -> dict[str, Any]:
    return {name: value.replace("{n}", str(number)) for name, value in data.items()}


def from_address(app: FastAPI, address: str) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 1))
    return httpx2.AsyncClient(transport=transport, base_url=app.state.runtime.settings.SITE_URL)


@pytest.fixture
def few(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few tries, for each kind another number."""
    conf = app.state.runtime.conf(AccountsSettings)
    monkeypatch.setitem(app.state.runtime._conf, AccountsSettings, conf.model_copy(update=RATES))


@pytest.mark.parametrize("door", JSON)
async def test_every_json_door_is_closed_after_so_many_tries(
    few: None, client: httpx2.AsyncClient, sign_in: SignIn, door: str
) -> None:
    await sign_in()
    method, _, path = door.partition(" ")
    data, tries = JSON[door]
    for number in range(tries):
        answer = await client.request(method, f"{API}/{path}", json=filled(data, number))
        assert answer.status_code in (201, 202, 400, 422), (number, answer.text)
    right = {name: PASSWORD if value == WRONG else value for name, value in filled(data, tries).items()}
    closed = await client.request(method, f"{API}/{path}", json=right)  # the right password does not open it either
    assert (closed.status_code, closed.json()["code"]) == (429, "too_many")
    assert 1 <= int(closed.headers["retry-after"]) <= 60
    assert closed.json()["detail"].startswith("That was too often. Try again in ")


@pytest.mark.parametrize("door", FORMS)
async def test_every_page_says_it_on_the_form(
    few: None, client: httpx2.AsyncClient, sign_in: SignIn, door: str
) -> None:
    await sign_in()
    data, tries = FORMS[door]
    for number in range(tries):
        answer = await client.post(f"{PAGES}/{door}", data=filled(data, number))
        assert answer.status_code in (303, 400, 422), (number, answer.status_code)
    right = {name: PASSWORD if value == WRONG else value for name, value in filled(data, tries).items()}
    closed = await client.post(f"{PAGES}/{door}", data=right)
    assert closed.status_code == 429
    assert 1 <= int(closed.headers["retry-after"]) <= 60
    assert "That was too often. Try again in " in closed.text
    assert ("<form" in closed.text.partition("<main")[2]) == (door != "verify/resend")
    assert PASSWORD not in closed.text


async def test_the_token_form_says_it_too(few: None, client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    for _ in range(ACCOUNT):
        assert (await client.post(f"{API}/token", data={"username": ANN, "password": WRONG})).status_code == 400
    closed = await client.post(f"{API}/token", data={"username": "ANN@Example.com ", "password": PASSWORD})
    assert (closed.status_code, closed.headers["retry-after"] > "0") == (429, True)


async def test_one_account_has_one_count_for_all_doors_and_spellings(
    few: None, client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user()
    assert (await client.post(f"{API}/login", json={"email": "ANN@example.com", "password": WRONG})).status_code == 422
    assert (
        await client.post(f"{API}/token", data={"username": "ａnn@example.com", "password": WRONG})
    ).status_code == 400
    assert (
        await client.post(f"{PAGES}/login", data={"email": " ann@EXAMPLE.com", "password": WRONG})
    ).status_code == 422
    for path, data in (("login", {"email": ANN}), ("token", {"username": ANN})):
        sent = {"json" if path == "login" else "data": data | {"password": PASSWORD}}
        assert (await client.post(f"{API}/{path}", **sent)).status_code == 429  # type: ignore[arg-type]
    assert (await client.post(f"{PAGES}/login", data={"email": ANN, "password": PASSWORD})).status_code == 429


async def test_the_admin_has_no_door_of_its_own(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user(is_superuser=True)
    assert (await client.get("/admin/")).headers["location"].startswith("/accounts/login")
    for path in ("/admin/login", "/admin/login/", "/admin//login"):
        answer = await client.post(path, data={"username": ANN, "email": ANN, "password": PASSWORD})
        assert answer.status_code in (303, 403, 404, 405), path
        assert "set-cookie" not in answer.headers or "sid" not in answer.headers["set-cookie"]
    assert (await client.get("/admin/user/list")).status_code == 303


async def test_an_address_counts_by_its_subscriber(few: None, app: FastAPI, make_user: MakeUser) -> None:
    await make_user()
    for number in range(ADDRESS):
        async with from_address(app, f"2001:db8:7:7:{number}::{number}") as client:
            data = {"email": f"user{number}@example.com", "password": WRONG}
            assert (await client.post(f"{API}/login", json=data)).status_code == 422
    right = {"email": ANN, "password": PASSWORD}
    for address, status in {"2001:db8:7:7:ffff::1": 429, "2001:db8:7:8::1": 200, "192.0.2.1": 200}.items():
        async with from_address(app, address) as client:
            assert (await client.post(f"{API}/login", json=right)).status_code == status, address


async def test_neither_a_good_log_in_nor_other_headers_wash_tries_off(
    few: None, app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser
) -> None:
    await make_user(BOB)
    spoofed = (
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Real-IP",
        "Forwarded",
        "True-Client-IP",
        "CF-Connecting-IP",
        "Via",
    )
    for number, name in enumerate(spoofed[: ADDRESS - 1]):
        data = {"email": f"user{number}@example.com", "password": WRONG}
        assert (await client.post(f"{API}/login", json=data, headers={name: f"203.0.113.{number}"})).status_code == 422
    assert (await client.post(f"{API}/login", json={"email": BOB, "password": PASSWORD})).status_code == 200
    for number, name in enumerate(spoofed):
        headers = {name: f"198.51.100.{number}", "Cookie": f"sid=x{number}", "User-Agent": str(number)}
        answer = await client.post(
            f"{API}/login", json={"email": f"other{number}@x.example", "password": WRONG}, headers=headers
        )
        assert answer.status_code == 429, name


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server
        server.go_on()


@pytest.fixture
async def workers(backend: Databases, redis: RedisServer, make_settings: MakeSettings) -> AsyncIterator[list[FastAPI]]:
    """Four apps as four processes would have them: one database, one Redis, one key."""
    key = "0123456789-abcdefghijklmnopqrstuvwxyz"
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(backend.copy())
        settings = make_settings(DATABASE_URL=url, REDIS_URL=redis.url, SECRET_KEY=key, DB_POOL_SIZE=2)
        yield [await stack.enter_async_context(running(settings)) for _ in range(4)]


async def tried(clients: list[httpx2.AsyncClient], tries: int, email: str = ANN) -> list[int]:
    """The statuses of wrong log-ins that go round."""
    data = {"email": email, "password": WRONG}
    return [(await clients[n % len(clients)].post(f"{API}/login", json=data)).status_code for n in range(tries)]


async def test_four_workers_count_together_and_others_come_in(workers: list[FastAPI], new_client: NewClient) -> None:
    for email in (ANN, BOB):
        await add_user(workers[0], email)
    clients = [new_client(worker) for worker in workers]
    assert await tried(clients, 12) == [422] * 10 + [429] * 2
    for client in clients:
        assert (await client.post(f"{API}/login", json={"email": ANN, "password": PASSWORD})).status_code == 429
    async with from_address(workers[3], "192.0.2.9") as elsewhere:
        assert (await elsewhere.post(f"{API}/login", json={"email": BOB, "password": PASSWORD})).status_code == 200


@pytest.mark.parametrize("trouble", ["kill", "halt"])
async def test_without_redis_each_worker_still_limits_and_answers_soon(
    workers: list[FastAPI], new_client: NewClient, redis: RedisServer, trouble: str
) -> None:
    await add_user(workers[0])
    clients = [new_client(worker) for worker in workers]
    assert await tried(clients, 4) == [422] * 4
    getattr(redis, trouble)()
    for client in clients[:2]:
        assert await tried([client], 10) == [422] * 9 + [429]
    redis.go_on() if trouble == "halt" else redis.start()


async def test_in_confirming_mode_a_sign_up_counts_for_its_mailbox_and_a_link_for_its_account(
    few: None, app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_sign_ups(app, monkeypatch)
    sign_up = {"email": "New@example.com", "password": NEW}
    statuses = [(await client.post(f"{API}/users", json=sign_up)).status_code for _ in range(MAILS + 1)]
    assert statuses == [202] * MAILS + [429]
    token = (await links_for(app, await make_user()))["/accounts/verify"].partition("=")[2]
    for number in range(ACCOUNT + 1):
        data = {"token": token, "password": WRONG if number < ACCOUNT else PASSWORD}
        answer = await client.post(f"{API}/verify/confirm", json=data)
        assert answer.status_code == (422 if number < ACCOUNT else 429)


async def test_what_cannot_be_hashed_now_is_refused_at_once_and_counts_for_nobody(
    few: None, app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in_as(client, app, await make_user())
    pool = app.state.runtime.hashing
    monkeypatch.setattr(pool, "_waiting", pool._room)
    doors = {name: value for name, value in JSON.items() if WRONG in value[0].values()}
    for door, (data, _) in doors.items():
        method, _, path = door.partition(" ")
        for number in range(ACCOUNT):
            busy = await client.request(method, f"{API}/{path}", json=filled(data, number))
            assert (busy.status_code, busy.json()["code"]) == (503, "busy"), door
            assert int(busy.headers["retry-after"]) >= 1
    assert (await client.post(f"{PAGES}/login", data={"email": ANN, "password": WRONG})).status_code == 503
    assert (await client.get("/accounts/login")).status_code in (200, 303)  # everybody else is served
    monkeypatch.setattr(pool, "_waiting", 0)
    assert (await client.post(f"{API}/login", json={"email": ANN, "password": PASSWORD})).status_code == 200
    for number in range(SIGNUPS):
        data = {"email": f"new{number}@example.com", "password": NEW}
        assert (await client.post(f"{API}/users", json=data)).status_code == 201
