"""API clients: the OAuth2 password form, the short JWT tied to its session row."""

from datetime import UTC, datetime, timedelta

import httpx2
import jwt
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import Session
from apps.accounts.testing import PASSWORD, MakeUser
from project.core import AsyncSession

pytestmark = pytest.mark.any_database

TOKEN, ME = "/api/v1/accounts/token", "/api/v1/accounts/me"
FORM = {"username": "ann@example.com", "password": PASSWORD}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def token_of(client: httpx2.AsyncClient) -> str:
    token: str = (await client.post(TOKEN, data=FORM)).json()["access_token"]
    return token


async def test_the_form_is_answered_with_a_short_token(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    answer = await client.post(TOKEN, data=FORM | {"grant_type": "password"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json()["token_type"], answer.json()["expires_in"]) == ("bearer", 600)
    assert "set-cookie" not in answer.headers
    assert (await client.get(ME, headers=bearer(answer.json()["access_token"]))).json()["email"] == "ann@example.com"


@pytest.mark.parametrize(
    ("form", "error"),
    [
        (FORM | {"password": "wrong password"}, "invalid_grant"),
        ({"username": "ann@example.com"}, "invalid_request"),
        (FORM | {"grant_type": "magic"}, "unsupported_grant_type"),
        ({}, "invalid_request"),
    ],
)
async def test_refusals_speak_rfc_6749(
    client: httpx2.AsyncClient, make_user: MakeUser, form: dict[str, str], error: str
) -> None:
    await make_user()
    answer = await client.post(TOKEN, data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert PASSWORD not in answer.text


async def test_every_claim_is_there(app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    user = await make_user()
    claims = jwt.decode(await token_of(client), options={"verify_signature": False})
    assert claims.keys() >= {"exp", "iat", "sub", "aud", "jti", "typ", "sid"}
    assert claims["sub"] == str(user.id)
    assert claims["exp"] - claims["iat"] == 600


async def test_a_token_ends_with_its_session_row(
    client: httpx2.AsyncClient, make_user: MakeUser, db: AsyncSession
) -> None:
    await make_user()
    token = await token_of(client)
    row = (await db.exec(select(Session))).one()
    assert row.kind == "api"
    await db.delete(row)
    await db.flush()
    assert (await client.get(ME, headers=bearer(token))).status_code == 401


async def test_logging_out_with_a_token_ends_it(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    token = await token_of(client)
    assert (await client.post("/api/v1/accounts/logout", headers=bearer(token))).status_code == 204
    assert (await client.get(ME, headers=bearer(token))).status_code == 401


async def test_an_expired_token_is_refused(app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user()
    claims = jwt.decode(await token_of(client), options={"verify_signature": False})
    claims["exp"] = datetime.now(UTC) - timedelta(seconds=1)
    stale = jwt.encode(claims, app.state.signer.key("accounts.access"), algorithm="HS256")
    assert (await client.get(ME, headers=bearer(stale))).status_code == 401


@pytest.mark.parametrize("purpose", ["accounts.verify", "accounts.reset", "flash"])
async def test_a_token_for_another_purpose_opens_nothing(
    app: FastAPI, client: httpx2.AsyncClient, make_user: MakeUser, purpose: str
) -> None:
    user = await make_user()
    sid = jwt.decode(await token_of(client), options={"verify_signature": False})["sid"]
    other = app.state.signer.sign(purpose, str(user.id), 60, sid=sid)
    assert (await client.get(ME, headers=bearer(other))).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x.y.z", "bearer \t", "Basic YTpi"])
async def test_a_bad_header_is_nobody(client: httpx2.AsyncClient, header: str) -> None:
    assert (await client.get(ME, headers={"Authorization": header})).status_code == 401


async def test_the_docs_know_where_to_authorize(client: httpx2.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    assert flow["tokenUrl"] == TOKEN
    assert document["paths"][ME]["get"]["security"] == [{"OAuth2PasswordBearer": []}]
