"""One's own account, and other people's."""

from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn
from project.core import AsyncSession
from project.core.testing.plugin import NewClient

pytestmark = pytest.mark.any_database

ACCOUNTS = "/api/v1/accounts"
ME = f"{ACCOUNTS}/me"


async def test_patch_tells_absent_from_null(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(name="Ann")
    assert (await client.patch(ME, json={})).json()["name"] == "Ann"
    assert (await client.patch(ME, json={"name": "Anna"})).json()["name"] == "Anna"
    assert (await client.patch(ME, json={"name": None})).json()["name"] == ""


async def test_patch_changes_nothing_else(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    user = await sign_in()
    extra = {
        "is_staff": True,
        "is_superuser": True,
        "email": "x@example.com",
        "hashed_password": "x",
        "id": str(uuid4()),
    }
    body = (await client.patch(ME, json=extra)).json()
    assert (body["is_staff"], body["email"], body["id"]) == (False, "ann@example.com", str(user.id))


async def test_the_profile_page_saves_the_name(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(name="Ann")
    assert 'value="Ann"' in (await client.get("/accounts/profile")).text
    answer = await client.post("/accounts/profile", data={"name": "Anna"})
    assert answer.headers["location"] == "/accounts/profile"
    page = await client.get("/accounts/profile")
    assert "Saved." in page.text
    assert 'value="Anna"' in page.text


async def test_a_refused_profile_keeps_the_whole_page(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    answer = await client.post("/accounts/profile", data={"name": "x" * 101})
    assert answer.status_code == 422
    assert "ann@example.com" in answer.text


async def test_deleting_an_account_takes_the_password_and_everything_else(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    wrong = await client.request("DELETE", ME, json={"password": "wrong password"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "password")
    assert (await client.request("DELETE", ME, json={"password": PASSWORD})).status_code == 204
    assert (await db.exec(select(User))).first() is None
    assert (await db.exec(select(Session))).first() is None


async def test_the_delete_page_does_the_same(client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession) -> None:
    await sign_in()
    assert (await client.post("/accounts/delete", data={"password": "wrong password"})).status_code == 422
    assert (await client.post("/accounts/delete", data={"password": PASSWORD})).status_code == 303
    assert (await db.exec(select(User))).first() is None


@pytest.mark.parametrize("voice", ["json", "page"])
async def test_changing_the_password_takes_the_old_one_and_ends_other_sessions(
    client: httpx2.AsyncClient, new_client: NewClient, app: FastAPI, sign_in: SignIn, voice: str
) -> None:
    other = new_client(app)
    user = await sign_in()
    await sign_in(user, into=other)

    async def change(current: str) -> int:
        data = {"current_password": current, "new_password": "a brand new one"}
        if voice == "json":
            return (await client.post(f"{ACCOUNTS}/password/change", json=data)).status_code
        return (await client.post("/accounts/password", data=data)).status_code

    assert await change("wrong password") == 422
    assert (await other.get(ME)).status_code == 200
    assert await change(PASSWORD) in (204, 303)
    assert (await client.get(ME)).status_code == 200
    assert (await other.get(ME)).status_code == 401
    login = {"email": "ann@example.com", "password": "a brand new one"}
    assert (await other.post(f"{ACCOUNTS}/login", json=login)).status_code == 200


async def test_somebody_else_is_not_found_like_nobody(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser
) -> None:
    user, bob = await sign_in(), await make_user("bob@example.com")
    assert (await client.get(f"{ACCOUNTS}/users/{user.id}")).status_code == 200
    foreign, missing = [await client.get(f"{ACCOUNTS}/users/{each}") for each in (bob.id, uuid4())]
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json() | {"request_id": ""} == missing.json() | {"request_id": ""}


async def test_only_those_who_may_see_people_list_them(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    assert (await client.get(f"{ACCOUNTS}/users")).status_code == 401
    ann = await sign_in()
    assert (await client.get(f"{ACCOUNTS}/users")).status_code == 403
    await sign_in("staff@example.com", is_staff=True)
    answer = await client.get(f"{ACCOUNTS}/users")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "accounts.user.view" in answer.json()["detail"]
    assert (await client.get(f"{ACCOUNTS}/users/{ann.id}")).status_code == 404
    await sign_in("reader@example.com", permissions=["accounts.user.view"])
    assert (await client.get(f"{ACCOUNTS}/users")).status_code == 200
    assert (await client.get(f"{ACCOUNTS}/users/{ann.id}")).status_code == 200


async def test_staff_list_people_in_parts(client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser) -> None:
    await sign_in("staff@example.com", is_staff=True, permissions=["accounts.user.view"])
    for number in range(12):
        await make_user(f"user{number:02}@example.com")
    first = await client.get(f"{ACCOUNTS}/users?sort=email")
    body = first.json()
    assert (len(body["items"]), body["total"], body["limit"], body["offset"]) == (10, 13, 10, 0)
    assert body["next"] == f"{ACCOUNTS}/users?sort=email&limit=10&offset=10"
    assert first.headers["link"] == f'<{body["next"]}>; rel="next"'
    last = (await client.get(body["next"])).json()
    assert ([each["email"] for each in last["items"]][-1], last["next"]) == ("user11@example.com", None)
    assert (await client.get(f"{ACCOUNTS}/users?sort=-email&limit=1")).json()["items"][0][
        "email"
    ] == "user11@example.com"


@pytest.mark.parametrize(("query", "total"), [("staff=true", 1), ("staff=false", 2), ("active=false", 1), ("", 3)])
async def test_people_are_filtered_by_allowed_names(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, query: str, total: int
) -> None:
    await sign_in("staff@example.com", is_staff=True, permissions=["accounts.user.view"])
    await make_user("bob@example.com")
    await make_user("gone@example.com", is_active=False)
    assert (await client.get(f"{ACCOUNTS}/users?{query}")).json()["total"] == total


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "offset=-1", "limit=x", "sort=hashed_password", "sort=1;drop", "sort=--email"]
)
async def test_lists_are_bounded_and_sorted_by_allowed_names_only(
    client: httpx2.AsyncClient, sign_in: SignIn, query: str
) -> None:
    await sign_in(is_staff=True, permissions=["accounts.user.view"])
    assert (await client.get(f"{ACCOUNTS}/users?{query}")).status_code == 422


@pytest.mark.parametrize(("search", "found"), [("%", 1), ("_", 1), ("\\", 0), ("STAFF", 1), ("' OR 1=1", 0)])
async def test_searching_takes_every_character_as_itself(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser, search: str, found: int
) -> None:
    await sign_in("staff@example.com", is_staff=True, permissions=["accounts.user.view"])
    await make_user("percent@example.com", name="100 %")
    await make_user("under@example.com", name="a_b")
    answer = await client.get(f"{ACCOUNTS}/users", params={"search": search})
    assert answer.json()["total"] == found


@pytest.mark.parametrize("door", ["change", "delete", "page"])
async def test_guessing_the_password_behind_a_session_is_limited_too(
    client: httpx2.AsyncClient, sign_in: SignIn, door: str
) -> None:
    await sign_in()

    async def guess() -> int:
        if door == "change":
            data = {"current_password": "wrong password", "new_password": "a brand new one"}
            return (await client.post(f"{ACCOUNTS}/password/change", json=data)).status_code
        if door == "delete":
            return (await client.request("DELETE", ME, json={"password": "wrong password"})).status_code
        return (await client.post("/accounts/delete", data={"password": "wrong password"})).status_code

    assert [await guess() for _ in range(11)] == [422] * 10 + [429]


async def test_a_new_password_gives_the_cookie_a_new_value(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    former = client.cookies["sid"]
    data = {"current_password": PASSWORD, "new_password": "a brand new one"}
    await client.post(f"{ACCOUNTS}/password/change", json=data)
    assert client.cookies["sid"] != former
    assert (await client.get(ME)).status_code == 200
    client.cookies.set("sid", former, domain="127.0.0.1")
    assert (await client.get(ME)).status_code == 401


async def test_the_last_superuser_stays(client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser) -> None:
    await sign_in(is_superuser=True)
    body = {"password": PASSWORD}
    assert (await client.request("DELETE", ME, json=body)).status_code == 409
    await make_user("second@example.com", is_superuser=True)
    assert (await client.request("DELETE", ME, json=body)).status_code == 204
