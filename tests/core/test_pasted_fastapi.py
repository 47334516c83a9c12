"""Paste-in FastAPI: a tutorial's routers work unchanged as an app's `api` and `websockets`."""

import importlib
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from project.core.asgi import create_app
from project.core.conf import Settings
from project.core.testing.plugin import MakeSettings, NewClient, running

pytestmark = pytest.mark.any_database

API = "/api/v1/pasted"
SOCKET = "ws://127.0.0.1:8000/pasted/items/3/ws"


@pytest.fixture(scope="module")
def settings(make_settings: MakeSettings) -> Settings:
    return make_settings(INSTALLED_APPS=["project", "apps.accounts", "tests.core.pasted"])


@pytest.fixture(scope="module")
async def pasted_app(settings: Settings) -> AsyncIterator[FastAPI]:
    async with running(settings) as app:
        yield app


@pytest.fixture
def pasted(pasted_app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    return new_client(pasted_app)


@pytest.fixture
def journal() -> list[str]:
    """What the pasted code has written down."""
    found: list[str] = importlib.import_module("tests.core.pasted.router").journal
    found.clear()
    return found


@pytest.fixture
def sockets(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url=settings.SITE_URL) as client:
        yield client


async def test_a_body_is_validated_and_the_response_model_filters_it(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.post(f"{API}/items/", json={"name": "Axe", "price": 30, "tags": ["sharp"]})
    assert answer.status_code == 201
    assert answer.json() == {"name": "Axe", "price": 30.0, "description": None}


async def test_a_list_leaves_out_what_is_unset(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/items/", params={"skip": 1, "limit": 5})
    assert answer.json() == [{"name": "Saw", "price": 20.0}]


async def test_a_return_annotation_filters_too_in_a_sync_handler(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/items/1")
    assert answer.json() == {"name": "Hammer", "price": 9.5, "description": None}


async def test_an_http_exception_keeps_its_status_detail_and_headers(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/items/99")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Item not found")
    assert answer.headers["x-error"] == "There goes my error"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_detail_may_be_an_object(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.delete(f"{API}/items/7")
    assert answer.status_code == 418
    assert answer.json()["detail"] == {"reason": "Nope! I don't like you.", "item": 7}


@pytest.mark.parametrize(
    ("method", "path", "json", "field"),
    [
        ("POST", "/items/", {"name": "Axe", "price": -1}, "price"),
        ("POST", "/items/", {"price": 1}, "name"),
        ("GET", "/items/?limit=101", None, "limit"),
        ("GET", "/items/0", None, "item_id"),
        ("GET", "/items/one", None, "item_id"),
        ("GET", "/params/middling", None, "kind"),
    ],
)
async def test_bad_data_gets_422_with_a_detail_and_the_field(
    pasted: httpx2.AsyncClient, method: str, path: str, json: object, field: str
) -> None:
    answer = await pasted.request(method, f"{API}{path}", json=json)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_query_path_header_and_cookie_parameters_arrive(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(
        f"{API}/params/short?item-query=a&item-query=b",
        headers=[("User-Agent", "tutorial"), ("X-Tag", "one"), ("X-Tag", "two"), ("Cookie", "ads_id=42")],
    )
    assert answer.json() == {
        "kind": "short",
        "q": ["a", "b"],
        "agent": "tutorial",
        "tags": ["one", "two"],
        "ads_id": "42",
    }


async def test_a_form_arrives(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.post(f"{API}/login/", data={"username": "rick", "password": "portal"})
    assert answer.json() == {"username": "rick"}


async def test_files_arrive_beside_form_fields(pasted: httpx2.AsyncClient) -> None:
    files = [("file", ("c.bin", b"abc")), ("uploads", ("a.txt", b"a")), ("uploads", ("b.txt", b"bb"))]
    answer = await pasted.post(f"{API}/files/", files=files, data={"note": "two"})
    assert answer.json() == {"file_size": 3, "uploads": {"a.txt": 1, "b.txt": 2}, "note": "two"}


async def test_a_background_task_runs_after_the_answer(pasted_app: FastAPI, journal: list[str]) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                journal.append("answered")

        await pasted_app(scope, receive, noted)

    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        await client.post(f"{API}/items/", json={"name": "Axe", "price": 30})
    assert journal == ["answered", "mail to shop@example.com: Axe"]


async def test_a_nested_dependency_runs_once_per_request_unless_told_otherwise(
    pasted: httpx2.AsyncClient, journal: list[str]
) -> None:
    answer = await pasted.get(f"{API}/cached")
    one, two, fresh = answer.json()
    assert one == two != fresh
    assert journal == ["counted"] * 2
    await pasted.get(f"{API}/cached")
    assert len(journal) == 4


async def test_sync_dependencies_leave_the_event_loop_and_async_ones_stay(
    pasted: httpx2.AsyncClient,
) -> None:
    sync, on_loop = (await pasted.get(f"{API}/threads")).json()
    assert "worker thread" in sync
    assert sync != on_loop


async def test_a_class_is_a_dependency(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/commons", params={"q": "foo", "skip": 3})
    assert answer.json() == {"q": "foo", "skip": 3}


@pytest.mark.parametrize(
    ("how", "status", "cleaning"),
    [
        ("finish", 200, ["end", "close"]),
        ("refuse", 409, ["end", "rollback HTTPException", "close"]),
        ("break", 500, ["end", "rollback OwnerError", "close"]),
    ],
)
async def test_a_yield_dependency_cleans_up_after_an_error_too(
    pasted: httpx2.AsyncClient, journal: list[str], how: str, status: int, cleaning: list[str]
) -> None:
    answer = await pasted.get(f"{API}/cleanup/{how}")
    assert answer.status_code == status
    assert answer.json().get("session", "session on db") == "session on db"
    assert journal == ["open", "begin", *cleaning]


async def test_an_unexpected_error_has_a_detail_that_tells_nothing(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/cleanup/break")
    assert answer.json()["detail"]
    assert "OwnerError" not in answer.text


async def test_a_router_in_a_router_brings_prefix_dependencies_and_security(
    pasted: httpx2.AsyncClient,
) -> None:
    good = {"X-Token": "fake-super-secret-token", "Authorization": "Bearer secrettoken"}
    answer = await pasted.get(f"{API}/admin/me", headers=good)
    assert answer.json() == {"token": "secrettoken", "here": f"{API}/admin/me"}
    answer = await pasted.get(f"{API}/admin/me", headers=good | {"X-Token": "guess"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "X-Token header invalid")
    answer = await pasted.get(f"{API}/admin/me", headers={"X-Token": good["X-Token"]})
    assert (answer.status_code, answer.json()["detail"]) == (401, "Not authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/html", "text/html; charset=utf-8", "<h1>Look ma! HTML!</h1>"),
        ("/text", "text/plain; charset=utf-8", "Hello World"),
        ("/legacy", "application/xml", "<shampoo/>"),
        ("/portal", "text/html; charset=utf-8", "portal"),
        ("/portal?plain=1", "application/json", '{"portal":true}'),
        ("/stream", "text/plain; charset=utf-8", "0\n1\n2\n"),
    ],
)
async def test_a_response_class_decides_what_is_sent(
    pasted: httpx2.AsyncClient, path: str, kind: str, text: str
) -> None:
    answer = await pasted.get(f"{API}{path}")
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (200, kind, text)


async def test_a_redirect_is_sent_as_it_is(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/teleport", params={"to": "html"})
    assert (answer.status_code, answer.headers["location"]) == (307, "/html")


async def test_the_response_parameter_sets_status_headers_and_cookies(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.put(f"{API}/tasks/5")
    assert (answer.status_code, answer.json()) == (202, {"task": 5})
    assert answer.headers["x-cat-dog"] == "alone in the world"
    assert answer.cookies["fakesession"] == "fake-cookie-session-value"


async def test_server_sent_events_stream(pasted: httpx2.AsyncClient) -> None:
    answer = await pasted.get(f"{API}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = [line for line in answer.text.splitlines() if line and not line.startswith(":")]
    assert lines[:3] == ["event: tick", 'data: {"number": 0}', "id: 0"]
    assert lines[5] == "id: 1"


async def test_every_pasted_route_is_in_the_api_docs(pasted: httpx2.AsyncClient) -> None:
    paths = (await pasted.get("/api/openapi.json")).json()["paths"]
    create = paths[f"{API}/items/"]["post"]
    assert create["responses"]["201"]["content"]["application/json"]["schema"]["$ref"].endswith("/ItemPublic")
    assert paths[f"{API}/admin/me"]["get"]["tags"] == ["pasted", "admin"]


def test_a_websocket_route_stands_beside_the_pages(sockets: TestClient, journal: list[str]) -> None:
    with sockets.websocket_connect(f"{SOCKET}?token=ann") as socket:
        socket.send_text("hi")
        assert socket.receive_text() == "ann says to item 3: hi"
    assert journal == ["left"]


def test_a_dependency_may_refuse_the_handshake(sockets: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, sockets.websocket_connect(SOCKET):
        pass
    assert refused.value.code == 1008


def test_a_tutorials_test_client_works_too(sockets: TestClient) -> None:
    answer = sockets.get(f"{API}/items/1")
    assert answer.json()["name"] == "Hammer"
