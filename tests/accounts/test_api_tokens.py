"""Personal API tokens: what they open, what they never open, and how they end."""

import re
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlmodel import select
from starlette.requests import HTTPConnection

from apps.accounts import api_tokens
from apps.accounts.identity import authenticate
from apps.accounts.models import ApiToken, Session, User
from apps.accounts.schemas import ApiTokenCreate
from apps.accounts.testing import PASSWORD, SignIn, links_for
from project.core import AsyncSession, Forbidden, Principal, Runtime, now
from project.core.errors import NotAuthenticated
from project.core.log import redact
from project.core.testing.pages import Page
from project.core.testing.plugin import NewClient
from tests.core.test_api_contract import PUBLIC

pytestmark = pytest.mark.any_database

API = "/api/v1/accounts"
ME, TOKENS = f"{API}/me", f"{API}/api-tokens"
CONN = HTTPConnection({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
OPEN = {f"GET {ME}", f"PATCH {ME}", f"GET {API}/users/{{user_id}}"}
"""What of accounts a token with every scope opens; the list of people is for staff, which no token is."""
OPEN_PAGES = {"/accounts/profile"}
PUBLIC_PAGES = {
    f"/accounts/{name}"
    for name in ("signup", "login", "forgot", "mailbox", "reset", "verify", "verify/request", "email/confirm")
}


async def made(client: httpx2.AsyncClient, *scopes: str, **more: object) -> str:
    answer = await client.post(TOKENS, json={"name": "script", "scopes": scopes or ("read", "write")} | more)
    assert answer.status_code == 201, answer.text
    token: str = answer.json()["token"]
    return token


@pytest.fixture
def program(app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client that has no cookie."""
    return new_client(app)


def use(client: httpx2.AsyncClient, token: str) -> httpx2.AsyncClient:
    client.headers["Authorization"] = f"Bearer {token}"
    return client


async def test_a_token_is_shown_once_and_acts_for_its_person(
    client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    answer = await client.post(TOKENS, json={"name": "script"})
    body = answer.json()
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert re.fullmatch(r"upt_[A-Za-z0-9]{43}", body["token"])
    assert body["scopes"] == ["read"]
    assert (await use(program, body["token"]).get(ME)).json()["email"] == "ann@example.com"
    listed = await client.get(TOKENS)
    assert (listed.json()["total"], listed.json()["items"][0]["name"]) == (1, "script")
    row = (await db.exec(select(ApiToken))).one()
    assert [each for each in (listed.text, repr(row.model_dump())) if body["token"][4:] in each] == []
    assert (await use(program, row.token_hash).get(ME)).status_code == 401
    assert (await use(program, f"upt_{row.token_hash}").get(ME)).status_code == 401


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(["read"], {"GET", "HEAD"}), (["write"], {"PATCH"}), (["write", "read"], {"GET", "HEAD", "PATCH"})],
    ids=["read", "write", "both"],
)
async def test_a_scope_is_needed_for_each_kind_of_request(
    client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, scopes: list[str], allowed: set[str]
) -> None:
    await sign_in()
    use(program, await made(client, *scopes))
    for method, path in [("GET", ME), ("HEAD", "/accounts/profile"), ("PATCH", ME)]:
        answer = await program.request(method, path, json={"name": method} if method == "PATCH" else None)
        assert answer.status_code == (200 if method in allowed else 403), method
        if answer.status_code == 403 and method != "HEAD":
            assert answer.json()["code"] == "insufficient_scope"
    for path in ("/accounts/profile", f"/api/v1/jobs/{uuid4()}/cancel", f"/jobs/{uuid4()}/cancel"):
        answer = await program.post(path, data={"name": "Changed"})
        assert (answer.status_code == 403) == ("write" not in scopes), path
    changed = (await client.get(ME)).json()["name"] != ""
    assert changed == ("write" in scopes)


async def test_what_is_no_http_method_needs_the_scope_to_write(
    client: httpx2.AsyncClient, sign_in: SignIn, runtime: Runtime
) -> None:
    """A socket carries both ways."""
    await sign_in()
    tokens = {scope: await made(client, scope) for scope in ("read", "write")}
    for scope, token in tokens.items():
        headers = [(b"authorization", f"Bearer {token}".encode())]
        conn = HTTPConnection({"type": "websocket", "headers": headers, "client": None})
        if scope == "read":
            with pytest.raises(Forbidden):
                await authenticate(runtime, conn)
        else:
            assert await authenticate(runtime, conn) is not None


async def test_of_accounts_a_token_opens_what_is_listed_and_nothing_else(
    app: FastAPI, client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    """Every route there is, and will be: making tokens, changing the password and ending sessions among them."""
    user = await sign_in(is_superuser=True)
    use(program, await made(client))
    seen = set()
    data = {"current_password": PASSWORD, "new_password": "a brand new one", "password": PASSWORD, "name": "x"}
    for route in iter_route_contexts(app.routes):
        path = route.path or ""
        if not path.startswith((API, "/accounts")):
            continue
        for method in (route.methods or set()) - {"HEAD"}:
            name = f"{method} {path}"
            row = (await db.exec(select(ApiToken.id))).one() if "token_id" in path else user.id
            filled = re.sub(r"{[^}]*}", str(row), path)
            body = {"data": data} if path.startswith("/accounts") else {"json": data}
            answer = await program.request(method, filled, **({} if method == "GET" else body))  # type: ignore[arg-type]
            if answer.status_code == 403:
                seen.add(name)
            else:
                assert name in OPEN | PUBLIC or path in OPEN_PAGES | PUBLIC_PAGES, f"{name}: {answer.status_code}"
    wanted = ["POST api-tokens", "POST password/change", "DELETE sessions", "DELETE sessions/{session_id}", "DELETE me"]
    wanted += ["GET api-tokens", "DELETE api-tokens/{token_id}", "GET sessions", "GET events", "POST email/change"]
    wanted += ["POST logout", "GET users"]
    assert {each.replace(" ", f" {API}/") for each in wanted} <= seen
    pages = ["password", "tokens/new", "tokens/{token_id}/revoke", "sessions/{session_id}/end", "sessions/end-others"]
    assert {f"POST /accounts/{each}" for each in [*pages, "logout", "delete", "email"]} <= seen
    assert len((await db.exec(select(ApiToken))).all()) == len((await db.exec(select(Session))).all()) == 1
    assert (await client.get(ME)).status_code == 200


@pytest.mark.parametrize("path", ["/admin/", "/admin/user/list", "/admin/session/list", "/api/v1/accounts/users"])
async def test_no_token_opens_the_admin_whoever_made_it(
    client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, path: str
) -> None:
    await sign_in(is_superuser=True, is_staff=True)
    assert (await client.get(path)).status_code == 200
    assert (await use(program, await made(client)).get(path)).status_code == 403


@pytest.mark.parametrize(
    "end", ["revoke", "page", "whoever has it", "expiry", "password", "closed", "deleted", "reset"]
)
async def test_a_token_ends_at_once(
    app: FastAPI,
    client: httpx2.AsyncClient,
    program: httpx2.AsyncClient,
    new_client: NewClient,
    sign_in: SignIn,
    db: AsyncSession,
    end: str,
) -> None:
    user = await sign_in()
    token = await made(client)
    row, person = (await db.exec(select(ApiToken))).one(), await db.get_one(User, user.id)
    assert (await use(program, token).get(ME)).status_code == 200
    if end == "revoke":
        assert (await client.delete(f"{TOKENS}/{row.id}")).status_code == 204
    elif end == "page":
        assert (await client.post(f"/accounts/tokens/{row.id}/revoke")).status_code == 303
    elif end == "whoever has it":
        assert (await new_client(app).post(f"{API}/token/revoke", data={"token": token})).status_code == 200
    elif end == "expiry":
        row.expires_at = now()
        await db.flush()
    elif end == "password":
        data = {"current_password": PASSWORD, "new_password": "a brand new one"}
        assert (await client.post(f"{API}/password/change", json=data)).status_code == 204
    elif end == "closed":
        person.is_active = False
        await db.flush()
    elif end == "deleted":
        assert (await client.request("DELETE", ME, json={"password": PASSWORD})).status_code == 204
    else:
        link = (await links_for(app, person))["/accounts/reset"].partition("token=")[2]
        data = {"token": link, "new_password": "a brand new one"}
        assert (await new_client(app).post(f"{API}/password/reset", json=data)).status_code == 204
    assert (await program.get(ME)).status_code == 401


async def test_whoever_is_deactivated_by_staff_has_no_token_left_when_they_come_back(
    app: FastAPI, client: httpx2.AsyncClient, program: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn
) -> None:
    theirs = new_client(app)
    bob = await sign_in("bob@example.com", into=theirs)
    use(program, await made(theirs))
    await sign_in("boss@example.com", is_superuser=True)
    for flags in ({}, {"is_active": "y"}):
        await client.post(f"/admin/user/edit/{bob.id}", data={"name": "Bob", "save": "Save"} | flags)
        assert (await program.get(ME)).status_code == 401


async def test_somebody_elses_token_is_not_there(
    app: FastAPI,
    client: httpx2.AsyncClient,
    program: httpx2.AsyncClient,
    new_client: NewClient,
    sign_in: SignIn,
    db: AsyncSession,
) -> None:
    theirs = new_client(app)
    await sign_in("bob@example.com", into=theirs)
    use(program, await made(theirs))
    foreign = (await db.exec(select(ApiToken.id))).one()
    await sign_in()
    one, other = await client.delete(f"{TOKENS}/{foreign}"), await client.delete(f"{TOKENS}/{uuid4()}")
    assert one.status_code == other.status_code == 404
    assert one.json() | {"request_id": ""} == other.json() | {"request_id": ""}
    assert (await client.post(f"/accounts/tokens/{foreign}/revoke")).status_code == 404
    assert ((await client.get(TOKENS)).json()["total"], (await program.get(ME)).status_code) == (0, 200)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 101},
        {"scopes": []},
        {"scopes": ["admin"]},
        {"scopes": ["read", "write", "admin"]},
        {"scopes": ["READ"]},
        {"expires_in_days": 0},
        {"expires_in_days": 367},
        {"expires_in_days": None},
    ],
    ids=["no name", "long name", "none", "admin", "all", "spelt", "at once", "too long", "for ever"],
)
async def test_a_token_is_not_made_like_that(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, change: dict[str, object]
) -> None:
    user = await sign_in()
    extra = {"user_id": str(uuid4()), "token_hash": "x", "expires_at": "2999-01-01T00:00:00Z"}
    assert (await client.post(TOKENS, json={"name": "x"} | change)).status_code == 422
    assert (await client.post(TOKENS, json={"name": "x"} | extra)).status_code == 201
    row = (await db.exec(select(ApiToken))).one()
    assert (row.user_id, row.expires_at < now() + timedelta(days=91)) == (user.id, True)


async def test_the_last_use_is_written_once_a_minute(
    client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    use(program, await made(client))
    row = (await db.exec(select(ApiToken))).one()
    assert row.last_used_at is None
    await program.get(ME)
    await db.refresh(row)
    first = row.last_used_at
    await program.get(ME)
    await db.refresh(row)
    assert (first is not None, row.last_used_at == first) == (True, True)
    row.last_used_at = now() - timedelta(minutes=2)
    await db.flush()
    await program.get(ME)
    await db.refresh(row)
    assert now() - row.last_used_at < timedelta(minutes=1)


async def test_a_person_has_a_bounded_number_of_tokens(
    client: httpx2.AsyncClient, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in()
    monkeypatch.setattr(api_tokens, "MOST", 2)
    answers = [(await client.post(TOKENS, json={"name": "x"})).status_code for _ in range(3)]
    assert answers == [201, 201, 409]


@pytest.mark.parametrize("how", ["ended", "changed"])
async def test_no_token_slips_through_while_what_asks_for_it_ends(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, how: str
) -> None:
    """The request was let in a moment ago; then the session ended, or the password of its person changed."""
    user = await sign_in()
    session = (await db.exec(select(Session.id))).one()
    asking = Principal(user.id, user.email, user.name, session)
    if how == "ended":
        await client.post(f"{API}/logout")
    else:
        data = {"current_password": PASSWORD, "new_password": "a brand new one"}
        await client.post(f"{API}/password/change", json=data)
    with pytest.raises(NotAuthenticated):
        await api_tokens.make(db, asking, ApiTokenCreate(name="late"), CONN)


async def test_no_log_shows_a_token(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    form = {"username": "ann@example.com", "password": PASSWORD}
    pair = (await client.post(f"{API}/token", data=form)).json()
    for secret in (await made(client), pair["refresh_token"], pair["access_token"]):
        assert secret[8:] not in redact(f"found {secret} in /srv/config.yml and '{secret}'")


@pytest.mark.parametrize("header", ["Bearer upt_", "Bearer upt_x", "bearer upt_é", "Bearer  upt_\t", "Bearer UPT_x"])
async def test_a_bad_token_is_nobody(program: httpx2.AsyncClient, header: str) -> None:
    assert (await program.get(ME, headers={b"Authorization": header.encode("latin-1")})).status_code == 401


async def test_a_token_counts_before_a_cookie_so_that_nothing_is_done_in_person_by_mistake(
    client: httpx2.AsyncClient, sign_in: SignIn
) -> None:
    await sign_in()
    token = await made(client)
    assert (await client.delete(f"{API}/sessions", headers={"Authorization": f"Bearer {token}"})).status_code == 403


async def test_the_page_makes_shows_once_and_revokes(
    either_page: Page, client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    page = await either_page.open("/accounts/profile").click("API tokens").click("New token")
    await page.submit("Make the token")
    assert page.errors == {"Name": "This field is required."}
    await page.fill("Name", "Backup <b>").submit("Make the token")
    assert page.messages == ["Copy the token now: it is not shown again."]
    found = re.search(r"upt_[A-Za-z0-9]{43}", page.text)
    assert found is not None
    assert page.answer.headers["cache-control"] == "no-store"
    assert (await use(program, found[0]).get(ME)).status_code == 200
    await page.click("Done")
    assert ("Backup <b>" in page.text, "upt_" in page.text) == (True, False)
    await page.submit("Revoke Backup <b>")
    assert (page.messages, "Backup" in page.text) == (["The token is revoked."], False)
    assert (await program.get(ME)).status_code == 401


async def test_the_form_sent_twice_makes_one_token_and_keeps_it_nowhere(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    from project.core.db.effects import Effect

    await sign_in()
    data = {"name": "script", "scopes": "read", "expires_in_days": "30", "_once": "x" * 22}
    first, second = [await client.post("/accounts/tokens/new", data=data) for _ in range(2)]
    token = re.search(r"upt_\w{43}", first.text)
    assert token is not None
    assert (second.status_code, token[0] in second.text) == (303, False)
    assert len((await db.exec(select(ApiToken))).all()) == 1
    assert token[0] not in repr([row.model_dump() for row in (await db.exec(select(Effect))).all()])


async def test_the_admin_shows_tokens_without_their_hash_and_revokes_them(
    client: httpx2.AsyncClient, program: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in(is_superuser=True)
    use(program, await made(client))
    row = (await db.exec(select(ApiToken))).one()
    for page in ("list", f"details/{row.id}", "export/csv"):
        answer = await client.get(f"/admin/api-token/{page}")
        assert (answer.status_code, "script" in answer.text, row.token_hash in answer.text) == (200, True, False), page
    assert (await client.get("/admin/api-token/create")).status_code == 403
    assert (await client.get(f"/admin/api-token/edit/{row.id}")).status_code == 403
    assert (await client.delete(f"/admin/api-token/delete?pks={row.id}")).status_code == 200
    assert (await program.get(ME)).status_code == 401
