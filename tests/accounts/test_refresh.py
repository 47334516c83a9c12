"""Refresh tokens: each counts once, a copy ends the whole family, and a race is no theft."""

import asyncio
from datetime import timedelta

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from apps.accounts import refresh
from apps.accounts.conf import AccountsSettings
from apps.accounts.models import ApiToken, Event, RefreshToken, Session, User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user
from project.core import AsyncSession, now
from project.core.testing.plugin import NewClient

API = "/api/v1/accounts"
ME, TOKEN, REFRESH, REVOKE = f"{API}/me", f"{API}/token", f"{API}/token/refresh", f"{API}/token/revoke"
FORM = {"username": "ann@example.com", "password": PASSWORD}
Pair = dict[str, str]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def status_of(client: httpx2.AsyncClient, access: str) -> int:
    return (await client.get(ME, headers=bearer(access))).status_code


async def opened(client: httpx2.AsyncClient) -> Pair:
    pair: Pair = (await client.post(TOKEN, data=FORM)).json()
    return pair


async def refreshed(client: httpx2.AsyncClient, token: str) -> httpx2.Response:
    return await client.post(REFRESH, json={"refresh_token": token})


async def let_grace_pass(db: AsyncSession) -> None:
    for row in (await db.exec(select(RefreshToken).execution_options(populate_existing=True))).all():
        row.used_at = row.used_at and row.used_at - refresh.GRACE - timedelta(seconds=1)
    await db.flush()


@pytest.fixture
async def pair(client: httpx2.AsyncClient, make_user: MakeUser) -> Pair:
    await make_user()
    return await opened(client)


async def test_a_refresh_token_gives_both_tokens_anew(client: httpx2.AsyncClient, pair: Pair) -> None:
    assert pair.keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    answer = await refreshed(client, pair["refresh_token"])
    new = answer.json()
    assert (answer.status_code, answer.headers["cache-control"], new.keys()) == (200, "no-store", pair.keys())
    assert new["refresh_token"] != pair["refresh_token"]
    assert (await status_of(client, new["access_token"]), new["expires_in"]) == (200, 600)
    tokens = {pair["refresh_token"]}
    for _ in range(5):
        tokens.add(token := new["refresh_token"])
        new = (await refreshed(client, token)).json()
    assert len(tokens) == 6


@pytest.mark.parametrize("kind", ["json", "form", "form with a grant type"])
async def test_it_is_taken_as_json_and_as_oauth_clients_send_it(
    client: httpx2.AsyncClient, pair: Pair, kind: str
) -> None:
    data = {"refresh_token": pair["refresh_token"]}
    data |= {"grant_type": "refresh_token"} if "grant" in kind else {}
    answer = await (client.post(REFRESH, json=data) if kind == "json" else client.post(REFRESH, data=data))
    assert answer.status_code == 200


@pytest.mark.parametrize("generation", [0, 1, 2])
async def test_an_old_token_used_again_ends_the_family_and_its_access_tokens(
    client: httpx2.AsyncClient, pair: Pair, db: AsyncSession, generation: int
) -> None:
    """Whichever of the family it is, and although no row of it is left by then."""
    pairs = [pair]
    for _ in range(3):
        pairs.append((await refreshed(client, pairs[-1]["refresh_token"])).json())
        await let_grace_pass(db)
    bystander = await opened(client)
    stolen = await refreshed(client, pairs[generation]["refresh_token"])
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert [await status_of(client, each["access_token"]) for each in pairs] == [401] * 4
    assert (await refreshed(client, pairs[-1]["refresh_token"])).status_code == 400
    assert await status_of(client, bystander["access_token"]) == 200
    assert [row.kind for row in (await db.exec(select(Event))).all()].count("token_reused") == 1


@pytest.mark.parametrize("steps", [1, 3])
async def test_within_the_grace_a_late_racer_gets_what_the_winner_has_by_now(
    client: httpx2.AsyncClient, pair: Pair, steps: int
) -> None:
    newest = pair
    for _ in range(steps):
        newest = (await refreshed(client, newest["refresh_token"])).json()
    late = await refreshed(client, pair["refresh_token"])
    assert (late.status_code, late.json()["refresh_token"]) == (200, newest["refresh_token"])
    assert [await status_of(client, each["access_token"]) for each in (newest, late.json())] == [200, 200]
    assert (await refreshed(client, newest["refresh_token"])).status_code == 200


async def test_a_race_has_one_winner_and_raises_no_alarm(live_app: FastAPI, new_client: NewClient) -> None:
    await add_user(live_app)
    clients = [new_client(live_app) for _ in range(12)]
    pair = await opened(clients[0])
    answers = await asyncio.gather(*(refreshed(each, pair["refresh_token"]) for each in clients))
    assert [answer.status_code for answer in answers] == [200] * 12
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert (len(successors), pair["refresh_token"] in successors) == (1, False)
    async with live_app.state.runtime.unit_of_work(write=False) as db:
        unused = (await db.exec(select(RefreshToken).where(col(RefreshToken.used_at).is_(None)))).all()
        assert len(unused) == 1
    assert {await status_of(clients[0], answer.json()["access_token"]) for answer in answers} == {200}
    assert (await refreshed(clients[0], successors.pop())).status_code == 200


async def test_tables_hold_hashes_only_and_what_they_hold_opens_nothing(
    client: httpx2.AsyncClient, pair: Pair, db: AsyncSession
) -> None:
    newest = (await refreshed(client, pair["refresh_token"])).json()["refresh_token"]
    rows = [*(await db.exec(select(Session))).all(), *(await db.exec(select(RefreshToken))).all()]
    kept = repr([row.model_dump() for row in rows])
    for token in (pair["refresh_token"], newest):
        assert not [part for part in (token, *token.removeprefix("upr_").split(".")) if part in kept]
    handle = newest.partition(".")[0]
    for row in (await db.exec(select(RefreshToken))).all():
        for guess in (row.token_hash, row.next_secret, f"{handle}.{row.next_secret}x"):
            assert (await refreshed(client, guess if guess.startswith("upr_") else f"upr_{guess}")).status_code == 400


async def test_used_rows_do_not_pile_up(client: httpx2.AsyncClient, pair: Pair, db: AsyncSession) -> None:
    token = pair["refresh_token"]
    for _ in range(4):
        token = (await refreshed(client, token)).json()["refresh_token"]
        await let_grace_pass(db)
    await refreshed(client, token)
    assert len((await db.exec(select(RefreshToken))).all()) == 2


async def test_the_family_has_an_absolute_end_and_ends_when_it_rests_too_long(
    client: httpx2.AsyncClient, pair: Pair, db: AsyncSession
) -> None:
    row = (await db.exec(select(Session))).one()
    lasts = timedelta(days=AccountsSettings().REFRESH_DAYS)
    assert lasts - timedelta(minutes=1) < row.expires_at - now() <= lasts
    end = row.expires_at
    pair = (await refreshed(client, pair["refresh_token"])).json()
    await db.refresh(row)
    assert row.expires_at == end
    row.expires_at = now() + timedelta(minutes=2)
    await db.flush()
    pair = (await refreshed(client, pair["refresh_token"])).json()
    assert 100 <= int(pair["expires_in"]) <= 120
    for change in ({"expires_at": now()}, {"expires_at": end, "last_seen_at": now() - timedelta(days=15)}):
        row.sqlmodel_update(change)
        await db.flush()
        assert (await refreshed(client, pair["refresh_token"])).status_code == 400
        assert await status_of(client, pair["access_token"]) == 401


async def test_a_closed_account_gets_no_tokens(client: httpx2.AsyncClient, pair: Pair, db: AsyncSession) -> None:
    (await db.exec(select(User))).one().is_active = False
    await db.flush()
    assert (await refreshed(client, pair["refresh_token"])).status_code == 400


@pytest.mark.parametrize("which", ["refresh_token", "access_token"])
@pytest.mark.parametrize("voice", ["json", "form"])
async def test_revoking_either_token_ends_both(client: httpx2.AsyncClient, pair: Pair, which: str, voice: str) -> None:
    other = await opened(client)
    data = {"token": pair[which], "token_type_hint": "whatever"}
    answer = await (client.post(REVOKE, json=data) if voice == "json" else client.post(REVOKE, data=data))
    assert answer.status_code == 200
    assert await status_of(client, pair["access_token"]) == 401
    assert (await refreshed(client, pair["refresh_token"])).status_code == 400
    assert await status_of(client, other["access_token"]) == 200


@pytest.mark.parametrize("token", ["", "x", "upr_", "upr_.", "upr_x.y", "upt_x", "a.b.c", "upr_é.x", "\u2028"])
async def test_a_text_that_is_no_token_is_revoked_like_one_and_refreshes_nothing(
    client: httpx2.AsyncClient, pair: Pair, token: str
) -> None:
    good = await client.post(REVOKE, json={"token": pair["refresh_token"]})
    answer = await client.post(REVOKE, json={"token": token})
    assert (answer.status_code, answer.content) == (good.status_code, good.content)
    assert (await refreshed(client, token)).status_code == 400


async def test_logging_out_with_the_access_token_ends_the_refresh_token(client: httpx2.AsyncClient, pair: Pair) -> None:
    answer = await client.post(f"{API}/logout", headers=bearer(pair["access_token"]))
    assert answer.status_code == 204
    assert (await refreshed(client, pair["refresh_token"])).status_code == 400


@pytest.mark.parametrize("path", [REFRESH, REVOKE])
@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"refresh_token": "\\ud800", "token": "\\ud800"}', "application/json", 400),
        (b'{"refresh_token": ["x"], "token": {}}', "application/json", 400),
        (b"x=1", "application/x-www-form-urlencoded", 400),
        (b"refresh_token=x&token=x", "text/plain", 415),
        (b'{"refresh_token": "x", "token": "x"}', "text/plain", 415),
        (b"", "multipart/form-data; boundary=x", 415),
    ],
    ids=["cut", "list", "null", "text", "bytes", "deep", "surrogate", "nested", "other", "plain", "sly", "parts"],
)
async def test_odd_bodies_are_refused_in_words(
    client: httpx2.AsyncClient, path: str, body: bytes, kind: str, status: int
) -> None:
    answer = await client.post(path, content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"] == "invalid_request"


async def test_no_token_passes_for_one_of_another_kind(
    app: FastAPI, client: httpx2.AsyncClient, new_client: NewClient, sign_in: SignIn, db: AsyncSession
) -> None:
    await sign_in()
    cookie = client.cookies["sid"]
    made = (await client.post(f"{API}/api-tokens", json={"name": "script"})).json()["token"]
    pair, stranger = await opened(client), new_client(app)
    handle = pair["refresh_token"].removeprefix("upr_").partition(".")[0]
    texts = {
        "access": pair["access_token"],
        "refresh": pair["refresh_token"],
        "handle": handle,
        "cookie": cookie,
        "api": made,
    }
    for name, text in texts.items():
        assert (await status_of(stranger, text) == 200) == (name in ("access", "api")), name
        stranger.cookies.set("sid", text, domain="127.0.0.1")
        assert ((await stranger.get(ME)).status_code == 200) == (name == "cookie"), name
        stranger.cookies.clear()
        if name != "refresh":
            assert (await refreshed(stranger, text)).status_code == 400, name
            assert (await refreshed(stranger, f"upr_{text}")).status_code == 400 or name == "handle", name
    assert (await db.exec(select(ApiToken))).first() is not None
