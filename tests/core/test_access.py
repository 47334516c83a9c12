"""`needs`: a permission asked for by a handler, in every voice."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, WebSocket

from apps.accounts.testing import add_user, sign_in_as
from project.core import Principal, needs
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.web.access import who_may

pytestmark = pytest.mark.any_database

router, sockets = APIRouter(), APIRouter()
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
        app.include_router(sockets, prefix="/doors")
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


@sockets.websocket("/socket")
async def socket(socket: WebSocket, user: Editor) -> None:
    await socket.accept()


@pytest.mark.parametrize(
    ("permission", "answer"),
    [
        ("", {"type": "websocket.close", "code": 4401, "reason": "not_authenticated"}),
        ("core.job.view", {"type": "websocket.close", "code": 4403, "reason": "forbidden"}),
        ("core.job.change", {"type": "websocket.accept", "subprotocol": None, "headers": []}),
    ],
)
async def test_a_socket_opens_for_those_who_may(
    doors: FastAPI, new_client: NewClient, permission: str, answer: dict[str, Any]
) -> None:
    client = await signed_in(doors, new_client, "a@example.com", permission) if permission else new_client(doors)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = [(b"host", client.base_url.netloc), (b"cookie", cookie.encode())]
    scope: dict[str, Any] = {"type": "websocket", "path": "/doors/socket", "raw_path": b"/doors/socket"}
    scope |= {"query_string": b"", "root_path": "", "scheme": "ws", "subprotocols": [], "client": ("127.0.0.1", 1)}
    sent: list[Any] = []
    waiting = iter([{"type": "websocket.connect"}])

    async def receive() -> dict[str, Any]:
        return next(waiting, {"type": "websocket.disconnect", "code": 1001})

    async def send(message: Any) -> None:
        sent.append(message)

    await doors(scope | {"headers": headers}, receive, send)
    assert sent == [answer]


def test_a_route_tells_who_may() -> None:
    told = {route.name: who_may(route) for route in router.routes}  # type: ignore[attr-defined]
    assert told == {"who": "core.job.change", "both": "core.job.view, core.job.change"}
