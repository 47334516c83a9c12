"""`needs`: a permission asked for by a handler, in every voice."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx2
import pytest
from fastapi import APIRouter, FastAPI

from apps.accounts.testing import add_user, sign_in_as
from project.core import Principal, needs
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.web.access import who_may

router = APIRouter()
Editor = Annotated[Principal, needs("core.job.change")]
VOICES = ["/api/v1/doors", "/doors"]


@router.get("/who")
async def who(user: Editor) -> str:
    return user.email


@router.post("/both", dependencies=[needs("core.job.view"), needs("core.job.change")])
async def both() -> str:
    return "both"


@pytest.fixture
async def doors(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        for prefix in VOICES:
            app.include_router(router, prefix=prefix)
        yield app


async def signed_in(app: FastAPI, new_client: NewClient, email: str, *permissions: str) -> httpx2.AsyncClient:
    client = new_client(app)
    root = email.startswith("root")
    await sign_in_as(client, app, await add_user(app, email, permissions=permissions, is_superuser=root))
    return client


@pytest.mark.parametrize("voice", VOICES)
async def test_a_handler_says_what_it_needs_and_the_refusal_says_it_in_words(
    doors: FastAPI, new_client: NewClient, voice: str
) -> None:
    stranger = await new_client(doors).get(f"{voice}/who")
    assert stranger.status_code == (401 if "api" in voice else 303)
    member = await (await signed_in(doors, new_client, "a@example.com", "core.job.view")).get(f"{voice}/who")
    assert member.status_code == 403
    assert "You are not allowed to do this. You lack the permission core.job.change." in member.text
    assert ("problem+json" in member.headers["content-type"]) == ("api" in voice)
    for email, permissions in (("b@example.com", ["core.job.change"]), ("root@example.com", [])):
        answer = await (await signed_in(doors, new_client, email, *permissions)).get(f"{voice}/who")
        assert (answer.status_code, answer.json()) == (200, email)


async def test_all_that_is_needed_is_needed(doors: FastAPI, new_client: NewClient) -> None:
    one = await signed_in(doors, new_client, "a@example.com", "core.job.view")
    two = await signed_in(doors, new_client, "b@example.com", "core.job.view", "core.job.change")
    assert (await one.post("/api/v1/doors/both")).status_code == 403
    assert (await two.post("/api/v1/doors/both")).status_code == 200


def test_a_route_tells_who_may() -> None:
    told = {route.name: who_may(route) for route in router.routes}  # type: ignore[attr-defined]
    assert told == {"who": "core.job.change", "both": "core.job.view, core.job.change"}
