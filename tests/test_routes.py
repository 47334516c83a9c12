"""Default deny: every address of the site, asked by strangers and by those without rights, against one list.

Whoever makes an address of these apps public adds it to PUBLIC, and has thought about who may call it. Your own apps
are yours to judge: `manage.py routes anyone` lists what strangers may call.
"""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount, WebSocketRoute

from apps.accounts import CurrentUser
from apps.accounts.testing import SignIn
from project.core.asgi import create_app
from project.core.testing.plugin import Databases, MakeSettings, Manage, NewClient, running
from project.core.web.access import ANYONE, SIGNED_IN, who_may

SHIPPED = ["project", "apps.accounts", "apps.fetcher", "apps.realtime"]
PUBLIC = {
    "GET /",
    "GET /health/live",
    "GET /health/ready",
    "GET /api/docs",
    "GET /api/openapi.json",
    "GET /docs",
    "GET /openapi.json",
    "MOUNT /static",
    "MOUNT /admin/statics",
    # Hears what a page has given this visitor for it, and nothing without
    "GET /live/stream",
    # To come in
    "GET /accounts/login",
    "POST /accounts/login",
    "POST /accounts/logout",
    "GET /accounts/signup",
    "POST /accounts/signup",
    "GET /accounts/mailbox",
    "GET /accounts/forgot",
    "POST /accounts/forgot",
    "GET /accounts/verify/request",
    "POST /accounts/verify/request",
    "POST /api/v1/accounts/users",
    "POST /api/v1/accounts/login",
    "POST /api/v1/accounts/token",
    "POST /api/v1/accounts/token/refresh",
    "POST /api/v1/accounts/token/revoke",
    "POST /api/v1/accounts/verify/request",
    "POST /api/v1/accounts/password/forgot",
    # What a link in a mail proves
    "GET /accounts/email/confirm",
    "POST /accounts/email/confirm",
    "GET /accounts/reset",
    "POST /accounts/reset",
    "GET /accounts/verify",
    "POST /accounts/verify",
    "POST /api/v1/accounts/verify/confirm",
    "POST /api/v1/accounts/password/reset",
    "POST /api/v1/accounts/email/confirm",
    # Lead on to addresses that ask who is there
    "GET /fetcher",
    "GET /realtime",
}
WITH_A_TOKEN = {"GET /metrics"}  # asks for METRICS_TOKEN itself
ID = "0197a0b0-0000-7000-8000-000000000000"
REFUSED = (401, 403, 404, 405)


def walk(app: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("METHOD /path", route) of everything that answers, mounted apps too."""
    for route in iter_route_contexts(app.routes):
        original, path = route.original_route, f"{prefix}{route.path}"
        if isinstance(original, Mount):
            inner = getattr(original.app, "routes", None)
            yield from walk(original.app, path) if inner else [(f"MOUNT {path}", route)]
        elif isinstance(original, WebSocketRoute):
            yield f"SOCKET {path}", route
        else:
            yield from ((f"{method} {path}", route) for method in sorted((route.methods or set()) - {"HEAD"}))


async def refused(app: FastAPI, client: httpx2.AsyncClient, name: str) -> bool:
    """Whether the address sends this client away: to the log-in page, or with a status that says so."""
    method, _, path = name.partition(" ")
    url = re.sub(r"{[^}]*}", ID, path)
    if method == "SOCKET":
        return not await accepts(app, url)
    answer = await client.request("GET" if method == "MOUNT" else method, url)
    to_log_in = answer.status_code == 303 and answer.headers["location"].startswith("/accounts/login")
    return to_log_in or answer.status_code in REFUSED


async def accepts(app: FastAPI, path: str) -> bool:
    """Whether a stranger's socket is let in."""
    sent: list[str] = []
    waiting = iter([{"type": "websocket.connect"}])

    async def receive() -> dict[str, Any]:
        return next(waiting, {"type": "websocket.disconnect", "code": 1001})

    async def send(message: Any) -> None:
        sent.append(message["type"])

    host = app.state.runtime.settings.SITE_URL.partition("//")[2]
    scope = {"type": "websocket", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
    scope |= {"headers": [(b"host", host.encode())], "client": ("127.0.0.1", 1), "scheme": "ws", "subprotocols": []}
    await app(scope, receive, send)
    return "websocket.accept" in sent


@pytest.fixture(scope="module")
def shipped(make_settings: MakeSettings) -> dict[str, Any]:
    """The addresses of the apps that come with the framework."""
    return dict(walk(create_app(make_settings(INSTALLED_APPS=SHIPPED))))


async def test_strangers_are_refused_everywhere_but_at_the_public_addresses(
    app: FastAPI, client: httpx2.AsyncClient, shipped: dict[str, Any]
) -> None:
    assert len(shipped) > 70
    assert shipped.keys() >= PUBLIC, "the list names what is not there"
    found = {name for name in shipped.keys() - PUBLIC if not await refused(app, client, name)}
    assert not found, f"strangers may call {sorted(found)}"


def test_what_routes_says_is_what_the_list_says(shipped: dict[str, Any]) -> None:
    told = {name for name, route in shipped.items() if who_may(route) == ANYONE and " /admin/" not in name}
    assert told == (PUBLIC | WITH_A_TOKEN) - {"MOUNT /admin/statics"}


async def test_whoever_is_signed_in_and_no_more_is_refused_where_more_is_needed(
    app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn, shipped: dict[str, Any]
) -> None:
    guarded = {name for name, route in shipped.items() if who_may(route) not in (ANYONE, SIGNED_IN)}
    guarded |= {name for name in shipped if re.match(r"\w+ /admin/", name)} - PUBLIC
    assert {"GET /api/v1/accounts/users", "DELETE /admin/{identity}/delete", "POST /admin/jobs/action/retry"} <= guarded
    await sign_in()
    for name in guarded:
        method, _, path = name.partition(" ")
        answer = await client.request(method, re.sub(r"{[^}]*}", ID, path))
        assert answer.status_code == 403, name


@pytest.fixture
async def development(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, DEBUG=True)) as app:
        yield app


async def test_the_pages_for_development_are_there_in_development_only(
    app: FastAPI, client: httpx2.AsyncClient, development: FastAPI, shipped: dict[str, Any]
) -> None:
    more = {name for name, _ in walk(development)} - dict(walk(app)).keys()
    assert {"GET /_dev/ui", "GET /_dev/mail"} <= more
    assert all(" /_dev/" in name for name in more)
    assert not more & shipped.keys()
    for name in more:
        assert await refused(app, client, name)


async def test_an_address_that_forgets_to_ask_would_be_found(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    router, sockets = APIRouter(), APIRouter()

    @router.get("/open")
    async def open_() -> str:
        return "hush"

    @router.get("/closed")
    async def closed(_: CurrentUser) -> str:
        return "hush"

    @sockets.websocket("/socket")
    async def socket(socket: WebSocket) -> None:
        await socket.accept()

    inner = FastAPI()
    inner.include_router(router)
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        usual = dict(walk(app)).keys()
        app.include_router(router, prefix="/deep")
        app.include_router(sockets, prefix="/deep")
        app.mount("/inner", inner)
        added = {name for name, _ in walk(app)} - usual
        found = {name for name in added if not await refused(app, new_client(app), name)}
    assert {"GET /deep/open", "GET /deep/closed", "SOCKET /deep/socket", "GET /inner/open"} <= added
    assert {"GET /deep/open", "SOCKET /deep/socket", "GET /inner/open"} <= found
    assert "GET /deep/closed" not in found


def test_routes_says_who_may(manage: Manage) -> None:
    output = manage("routes").output
    for path, who in (
        ("/accounts/login", "anyone"),
        ("/accounts/profile", "signed in"),
        ("/api/v1/accounts/users", "accounts.user.view"),
        ("/admin", "staff"),
        ("/jobs/{job_id}", "signed in"),
    ):
        assert re.search(rf" {path} .* {who}$", output, re.M), path
    assert "/accounts/profile" not in manage("routes", "anyone").output
