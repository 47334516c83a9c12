"""Where one is signed in: seen, ended, and ending by themselves."""

from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts import sessions
from apps.accounts.conf import AccountsSettings
from apps.accounts.devices import device_of
from apps.accounts.models import ApiToken, RefreshToken, Session
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, sign_in_as
from project.core import AsyncSession, Runtime, enqueue, now
from project.core.testing.jobs import Jobs
from project.core.testing.pages import Page
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running

API = "/api/v1/accounts"
ME, LOGIN, SESSIONS = f"{API}/me", f"{API}/login", f"{API}/sessions"
ANN = {"email": "ann@example.com", "password": PASSWORD}
FORM = {"username": "ann@example.com", "password": PASSWORD}
CHANGE = {"current_password": PASSWORD, "new_password": "a brand new one"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status_of(client: httpx2.AsyncClient, **headers: str) -> int:
    return (await client.get(ME, headers=headers)).status_code


async def test_the_list_says_which_device_where_from_and_which_is_this_one(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn
) -> None:
    await sign_in()
    await new_client(app).post(LOGIN, json=ANN, headers={"User-Agent": FIREFOX})
    await new_client(app).post(f"{API}/token", data=FORM, headers={"User-Agent": "curl/8.5.0"})
    await sign_in("bob@example.com", into=new_client(app))
    body = (await client.get(SESSIONS)).json()
    told = [(each["device"], each["kind"], each["current"]) for each in body["items"]]
    assert (body["total"], told[0]) == (3, ("tests", "browser", True))
    assert sorted(told[1:]) == [("Firefox on Linux", "browser", False), ("curl", "api", False)]
    assert {each["address"] for each in body["items"]} == {"127.0.0.1"}
    assert not {"token_hash", "user_agent"} & body["items"][0].keys()


@pytest.mark.parametrize("voice", ["json", "page"])
async def test_one_session_is_ended_and_no_other(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession, voice: str
) -> None:
    user, phone, desk = await sign_in(), new_client(app), new_client(app)
    await sign_in(user, into=phone)
    gone = (await client.get(SESSIONS)).json()["items"][1]["id"]
    await sign_in(user, into=desk)
    if voice == "json":
        assert (await client.delete(f"{SESSIONS}/{gone}")).status_code == 204
    else:
        assert (await client.post(f"/accounts/sessions/{gone}/end")).headers["location"] == "/accounts/sessions"
    assert [await status_of(each) for each in (client, phone, desk)] == [200, 401, 200]


@pytest.mark.parametrize("door", ["json", "page"])
async def test_somebody_elses_session_is_not_there(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession, door: str
) -> None:
    theirs = new_client(app)
    bob = await sign_in("bob@example.com", into=theirs)
    await sign_in()
    foreign = (await db.exec(select(Session.id).where(Session.user_id == bob.id))).one()

    async def end(which: object) -> httpx2.Response:
        if door == "json":
            return await client.delete(f"{SESSIONS}/{which}")
        return await client.post(f"/accounts/sessions/{which}/end")

    one, other = await end(foreign), await end(uuid4())
    assert one.status_code == other.status_code == 404
    if door == "json":
        assert one.json() | {"request_id": ""} == other.json() | {"request_id": ""}
    assert await status_of(theirs) == 200


async def test_ending_this_very_session_logs_out(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    token, own = client.cookies["sid"], (await client.get(SESSIONS)).json()["items"][0]["id"]
    answer = await client.delete(f"{SESSIONS}/{own}")
    assert (answer.status_code, 'sid=""' in answer.headers["set-cookie"]) == (204, True)
    client.cookies.set("sid", token, domain="127.0.0.1")
    assert await status_of(client) == 401


@pytest.mark.parametrize("voice", ["json", "page"])
async def test_all_others_are_ended_at_once_an_api_clients_too_and_nobody_elses(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, voice: str
) -> None:
    user, other, bob = await sign_in(), new_client(app), new_client(app)
    await sign_in(user, into=other)
    await sign_in("bob@example.com", into=bob)
    access = (await new_client(app).post(f"{API}/token", data=FORM)).json()["access_token"]
    if voice == "json":
        assert (await client.delete(SESSIONS)).status_code == 204
    else:
        await client.post("/accounts/sessions/end-others")
    assert [await status_of(each) for each in (client, other, bob)] == [200, 401, 200]
    assert await status_of(new_client(app), **bearer(access)) == 401


async def test_the_page_ends_sessions_in_place_or_anew(
    app: FastAPI, either_page: Page, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in()
    for agent in ("curl/8.5.0", FIREFOX):
        db.add(Session(token_hash=agent[:9], user_id=user.id, user_agent=agent, expires_at=now() + timedelta(days=1)))
    await db.flush()
    page = await either_page.open("/accounts/profile").click("Devices")
    assert ("Firefox on Linux" in page.text, "This device" in page.text) == (True, True)
    await page.submit("Log out Firefox on Linux")
    assert (page.messages, page.url) == (["The device is logged out."], "/accounts/sessions")
    assert ("Firefox on Linux" in page.text, "curl" in page.text) == (False, True)
    await page.submit("Log out all other devices")
    assert (page.messages, "curl" in page.text) == (["All other devices are logged out."], False)
    assert [row.user_agent for row in (await db.exec(select(Session))).all()] == ["tests"]


@pytest.mark.parametrize(
    ("remember", "rested", "status"),
    [
        (False, timedelta(hours=11), 200),
        (False, timedelta(hours=13), 401),
        (True, timedelta(hours=13), 200),
        (True, timedelta(days=13), 200),
        (True, timedelta(days=15), 401),
    ],
)
async def test_a_session_that_rests_too_long_is_nobody(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession, remember: bool, rested: timedelta, status: int
) -> None:
    await make_user()
    await client.post(LOGIN, json=ANN | {"remember": remember})
    row = (await db.exec(select(Session))).one()
    row.last_seen_at = now() - rested
    await db.flush()
    listed = (await db.exec(select(Session).where(sessions.live(AccountsSettings(), now())))).all()
    assert (await status_of(client), len(listed)) == (status, int(status == 200))


async def test_however_much_it_is_used_a_session_has_an_end(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession
) -> None:
    await make_user()
    await client.post(LOGIN, json=ANN | {"remember": True})
    row = (await db.exec(select(Session))).one()
    end = row.expires_at
    row.last_seen_at = now() - timedelta(days=1)
    await db.flush()
    assert await status_of(client) == 200
    await db.refresh(row)
    assert (row.expires_at, now() - row.last_seen_at < timedelta(minutes=1)) == (end, True)
    row.expires_at = now()
    await db.flush()
    assert await status_of(client) == 401


async def test_a_session_with_a_short_rest_lives_while_it_is_used(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note once a minute would be too seldom for it."""
    conf = app.state.runtime.conf(AccountsSettings).model_copy(update={"IDLE_HOURS": 40 / 3600})
    monkeypatch.setitem(app.state.runtime._conf, AccountsSettings, conf)
    await sign_in()
    row = (await db.exec(select(Session))).one()
    for _ in range(3):
        row.last_seen_at = now() - timedelta(seconds=20)
        await db.flush()
        assert await status_of(client) == 200
        await db.refresh(row)
        assert now() - row.last_seen_at < timedelta(seconds=10)


@pytest.mark.parametrize("door", [LOGIN, "/accounts/login", "/accounts/signup", f"{API}/token"])
async def test_no_door_takes_over_a_value_that_the_browser_brought(
    app: FastAPI, new_client: NewClient, make_user: MakeUser, db: AsyncSession, door: str
) -> None:
    await make_user()
    client, planted = new_client(app), "planted-" + "x" * 40
    client.cookies.set("sid", planted, domain="127.0.0.1")
    data = ANN | FORM | ({"email": "new@example.com"} if "signup" in door else {})
    answer = await (client.post(door, json=data) if door == LOGIN else client.post(door, data=data))
    assert answer.status_code in (200, 303)
    hashes = {row.token_hash for row in (await db.exec(select(Session))).all()}
    assert (len(hashes), sessions.hash_token(app.state.runtime, planted) in hashes) == (1, False)
    thief = new_client(app)
    thief.cookies.set("sid", planted, domain="127.0.0.1")
    assert await status_of(thief) == 401


async def test_a_new_password_makes_ones_own_session_another_one(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    before = (await db.exec(select(Session.id))).one()
    assert (await client.post(f"{API}/password/change", json=CHANGE)).status_code == 204
    assert (await db.exec(select(Session.id))).one() != before
    assert (await client.get(SESSIONS)).json()["items"][0]["current"] is True


async def test_a_new_password_ends_all_else_on_every_process_at_once(live_app: FastAPI, new_client: NewClient) -> None:
    user = await add_user(live_app)
    here, browser = new_client(live_app), new_client(live_app)
    await sign_in_as(here, live_app, user)
    await sign_in_as(browser, live_app, user)
    tokens = (await new_client(live_app).post(f"{API}/token", data=FORM)).json()
    made = (await here.post(f"{API}/api-tokens", json={"name": "script"})).json()["token"]
    async with running(live_app.state.runtime.settings) as second:
        there = new_client(second)
        there.cookies.update(browser.cookies)
        stranger = new_client(second)

        async def statuses() -> list[int]:
            signed = [await status_of(stranger, **bearer(each)) for each in (tokens["access_token"], made)]
            return [await status_of(there), *signed]

        assert await statuses() == [200, 200, 200]
        assert (await here.post(f"{API}/password/change", json=CHANGE)).status_code == 204
        assert await statuses() == [401, 401, 401]
        used = await stranger.post(f"{API}/token/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert (used.status_code, used.json()["error"]) == (400, "invalid_grant")
        still = new_client(second)
        still.cookies.update(here.cookies)
        assert await status_of(still) == 200


async def test_what_a_former_key_opened_counts_while_the_key_is_a_fallback_and_not_after(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    former, current = "former-0123456789-abcdefghijklmnopqrstuv", "current-0123456789-abcdefghijklmnopqrstu"
    async with backend.copy() as url:
        async with running(make_settings(DATABASE_URL=url, SECRET_KEY=former)) as app:
            await add_user(app)
            client = new_client(app)
            await client.post(LOGIN, json=ANN)
            tokens = (await client.post(f"{API}/token", data=FORM)).json()
            cookie = client.cookies["sid"]
        for keys, status in [({"SECRET_KEY_FALLBACKS": [former]}, 200), ({}, 401)]:
            async with running(make_settings(DATABASE_URL=url, SECRET_KEY=current, **keys)) as app:
                browser, program = new_client(app), new_client(app)
                browser.cookies.set("sid", cookie, domain="127.0.0.1")
                assert await status_of(browser) == status
                assert await status_of(program, **bearer(tokens["access_token"])) == status
                data = {"refresh_token": tokens["refresh_token"]}
                answer = await program.post(f"{API}/token/refresh", json=data)
                assert answer.status_code == (200 if status == 200 else 400)
                tokens["refresh_token"] = answer.json().get("refresh_token", "")  # the access token stays the old one


async def test_the_sweep_deletes_what_counts_no_more_and_nothing_else(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession, jobs: Jobs
) -> None:
    user = await sign_in()
    await client.post(f"{API}/token", data=FORM)
    later, long_ago = now() + timedelta(days=1), now() - timedelta(days=99)
    for name, end, seen in [("over", now(), now()), ("idle", later, now() - timedelta(hours=13))]:
        db.add(Session(token_hash=name, user_id=user.id, expires_at=end, last_seen_at=seen))
    gone = Session(
        token_hash="api", user_id=user.id, kind="api", remember=True, expires_at=later, last_seen_at=long_ago
    )
    db.add(gone)
    await db.flush()
    db.add(RefreshToken(session_id=gone.id, token_hash="gone", next_secret="x"))
    for name, end in [("ended", now()), ("counts", later)]:
        db.add(ApiToken(user_id=user.id, name=name, token_hash=name, scopes=["read"], expires_at=end))
    await enqueue(db, "accounts.sweep")
    await db.commit()
    await jobs.run()
    assert len((await db.exec(select(Session.id))).all()) == 2
    assert len((await db.exec(select(RefreshToken.id))).all()) == 1
    assert (await db.exec(select(ApiToken.name))).all() == ["counts"]
    assert (await client.get(SESSIONS)).json()["total"] == 2


async def test_the_sweep_runs_by_the_clock(runtime: Runtime) -> None:
    assert runtime.registry.jobs["accounts.sweep"].schedule is not None


async def test_a_person_has_a_bounded_number_of_sessions(
    client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession
) -> None:
    user = await sign_in()
    for number in range(sessions.MOST):
        seen = now() - timedelta(minutes=number + 1)
        db.add(Session(token_hash=str(number), user_id=user.id, last_seen_at=seen, expires_at=now() + timedelta(1)))
    await db.flush()
    assert (await client.post(LOGIN, json=ANN)).status_code == 200
    left = (await db.exec(select(Session.token_hash))).all()
    assert (len(left), str(sessions.MOST - 1) in left, "0" in left) == (sessions.MOST, False, True)


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (FIREFOX, "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36 Edg/141.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) CriOS/141.0 Mobile Safari/604.1", "Chrome on iPad"),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/141.0 Mobile Safari/537.36", "Chrome on Android"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1 Safari/605.1.15", "Safari on Mac"),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28.1", "python-httpx"),
        ("", "Unknown device"),
        ("<script>alert(1)</script>", "Unknown device"),
        ("x" * 400, "Unknown device"),
        ("=HYPERLINK(1)", "Unknown device"),
    ],
    ids=["firefox", "edge", "iphone", "ipad", "android", "mac", "curl", "python", "none", "script", "long", "formula"],
)
def test_a_device_is_told_in_words(agent: str, words: str) -> None:
    assert device_of(agent) == words


async def test_what_a_device_says_of_itself_is_no_markup(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    payload = "Tool<img src=x onerror=alert(1)>"
    await client.post(LOGIN, json=ANN, headers={"User-Agent": payload})
    for path in ("/accounts/sessions", "/accounts/activity"):
        page = await client.get(path)
        assert (page.status_code, "onerror" in page.text) == (200, False)
