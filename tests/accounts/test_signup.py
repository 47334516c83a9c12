"""Signing up, as a page and as JSON."""

import anyio
import httpx2
import pytest
from sqlmodel import select

from apps.accounts.models import Session, User
from apps.accounts.testing import PASSWORD, MakeUser
from project.core import AsyncSession
from project.core.testing.pages import Page
from project.core.testing.plugin import NewClient

SIGN_UP = {"email": "Ann@Example.com", "password": PASSWORD, "name": "Ann"}


async def test_json_sign_up_answers_201_and_where_the_account_is(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/v1/accounts/users", json=SIGN_UP)
    assert answer.status_code == 201
    assert answer.json()["email"] == "ann@example.com"
    assert answer.headers["location"] == f"/api/v1/accounts/users/{answer.json()['id']}"
    assert "password" not in answer.text


async def test_page_sign_up_signs_in_and_goes_home(
    either_page: Page, client: httpx2.AsyncClient, db: AsyncSession
) -> None:
    page = await either_page.open("/").click("Sign up")
    await page.fill("E-mail", "Ann@Example.com").fill("Password", PASSWORD).fill("Name", "Ann").submit("Sign up")
    assert (page.url, page.messages) == ("/", ["Welcome! Your account is ready."])
    assert (await client.get("/api/v1/accounts/me")).json()["name"] == "Ann"
    user = (await db.exec(select(User))).one()
    assert user.hashed_password.startswith("$argon2id$")


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@example.COM", "  ann@example.com ", "ａnn@example.com"])
async def test_one_mailbox_has_one_account(client: httpx2.AsyncClient, make_user: MakeUser, email: str) -> None:
    await make_user("ann@example.com")
    answer = await client.post("/api/v1/accounts/users", json=SIGN_UP | {"email": email})
    assert answer.status_code == 409
    assert answer.json()["errors"][0]["field"] == "email"


async def test_twenty_sign_ups_at_once_give_one_account(live_client: httpx2.AsyncClient) -> None:
    live_client._transport.app.state.runtime.conf  # type: ignore[attr-defined]  # noqa: B018
    statuses: list[int] = []

    async def sign_up() -> None:
        statuses.append((await live_client.post("/api/v1/accounts/users", json=SIGN_UP)).status_code)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(sign_up)
    assert sorted(statuses) == [201] + [409] * 19


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"password": "short"}, "password"),
        ({"password": "ann@example.com"}, "password"),
        ({"email": "not an e-mail"}, "email"),
        ({"name": "x" * 101}, "name"),
    ],
)
async def test_bad_data_gets_the_same_code_and_words_in_json_and_on_the_page(
    client: httpx2.AsyncClient, change: dict[str, str], field: str
) -> None:
    json = await client.post("/api/v1/accounts/users", json=SIGN_UP | change)
    page = await client.post("/accounts/signup", data=SIGN_UP | change)
    assert json.status_code == page.status_code == 422
    assert [error["field"] for error in json.json()["errors"]] == [field]
    assert json.json()["errors"][0]["message"].split("{")[0] in page.text


async def test_a_refused_form_keeps_its_values_but_never_the_password(either_page: Page) -> None:
    page = await either_page.open("/accounts/signup").fill("E-mail", "nobody").fill("Password", "my secret words")
    await page.submit("Sign up")
    assert page.errors == {"E-mail": "An e-mail address must have an @-sign."}
    assert page.summary == ["E-mail: An e-mail address must have an @-sign."]
    assert 'value="nobody"' in page.answer.text
    assert "my secret words" not in page.answer.text


async def test_htmx_gets_only_the_form(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/accounts/signup", data=SIGN_UP | {"password": "x"}, headers={"HX-Request": "true"})
    assert answer.status_code == 422
    assert "<form" in answer.text
    assert "<html" not in answer.text
    assert "HX-Request" in answer.headers["vary"]


async def test_only_the_hash_of_the_session_token_is_stored(client: httpx2.AsyncClient, db: AsyncSession) -> None:
    await client.post("/accounts/signup", data=SIGN_UP)
    row = (await db.exec(select(Session))).one()
    assert client.cookies["sid"] != row.token_hash
    assert len(client.cookies["sid"]) >= 43


async def test_nobody_signs_up_as_staff(client: httpx2.AsyncClient, db: AsyncSession) -> None:
    extra = {
        "is_staff": True,
        "is_superuser": True,
        "is_active": False,
        "hashed_password": "x",
        "id": "1" * 32,
    }
    await client.post("/api/v1/accounts/users", json=SIGN_UP | extra)
    await client.post("/accounts/signup", data=SIGN_UP | {"email": "b@example.com", "is_staff": "on"})
    users = (await db.exec(select(User))).all()
    assert [(user.is_staff, user.is_superuser, user.is_active) for user in users] == [(False, False, True)] * 2


async def test_somebody_signed_in_is_led_home(client: httpx2.AsyncClient, new_client: NewClient) -> None:
    await client.post("/accounts/signup", data=SIGN_UP)
    assert (await client.get("/accounts/signup")).headers["location"] == "/"
