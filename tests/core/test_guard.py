"""Who may come in: known hosts, and no page of another site."""

import asyncio
import socket
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn
from project.core import AsyncSession
from project.core.jobs.table import Job
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.plugin import MakeSettings
from project.core.web.guard import Guard

pytestmark = pytest.mark.any_database

SIGN_UP = {"email": "ann@example.com", "password": PASSWORD}
CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8000"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://127.0.0.1:8000.evil.example"},
    {"Origin": "http://127.0.0.1:9000"},
    {"Origin": "http://127.0.0.1"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://"},
    {"Origin": "http://127.0.0.1:99999"},
    {"Origin": "https://127.0.0.1:8000"},
    {"Origin": "ws://127.0.0.1:8000"},
    {"Referer": "https://evil.example/page"},
]
SAME_SITE = [
    {},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Referer": "http://127.0.0.1:8000/accounts/signup"},
]


@pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
@pytest.mark.parametrize("path", ["/accounts/signup", "/api/v1/accounts/users"])
async def test_a_post_from_another_site_is_refused_and_changes_nothing(
    client: httpx2.AsyncClient, db: AsyncSession, path: str, headers: dict[str, str]
) -> None:
    body = {"json": SIGN_UP} if path.startswith("/api") else {"data": SIGN_UP}
    answer = await client.post(path, headers=headers, **body)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert (await db.exec(select(User))).first() is None


@pytest.mark.parametrize("headers", SAME_SITE, ids=str)
async def test_a_post_from_this_site_or_from_no_browser_passes(
    client: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    assert (await client.post("/accounts/signup", data=SIGN_UP, headers=headers)).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/api/v1/accounts/me", "/admin/user/list", "/nowhere"])
async def test_every_unsafe_method_is_guarded_before_the_router(
    client: httpx2.AsyncClient, sign_in: SignIn, method: str, path: str
) -> None:
    await sign_in(is_superuser=True)
    answer = await client.request(method, path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert "cross_site" in answer.text or "another site" in answer.text


async def test_a_link_from_another_site_may_be_followed(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "127.0.0.1:8000@evil.example", "a:b@evil", "", "127.0.0.1 evil", "127.0.0.1/evil"),
        *("127.0.0.1..", "127.0.0.1:80:80", "127.0.0.1:x", "127.0.0.1:-1", "127.0.0.1:999999"),
        *("127.0.0.1:80@evil.example", "127.0.0.1:", "evil.example#127.0.0.1", "evil.example?127.0.0.1"),
        *("127.0.0.1\\@evil.example", "127.0.0.1,evil.example", "127.0.0.1.evil.example", "evil127.0.0.1"),
        *("127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]", "localhost", "http://127.0.0.1"),
        *("//127.0.0.1", "127.0.0.1%00", "127.0.0.1\tx", ".127.0.0.1", "*", "127\u30020\u30020\u30021"),
        *("127.0.0.1:99999", "127.0.0.1:65536"),
    ],
)
async def test_an_unknown_host_is_refused_and_no_mail_goes_out(
    client: httpx2.AsyncClient, db: AsyncSession, host: str
) -> None:
    named = {b"Host": host.encode()}
    assert (await client.get("/", headers=named)).status_code == 400
    for path in ("/api/v1/accounts/password/forgot", "/accounts/forgot"):
        sent: Any = {"json" if "api" in path else "data": {"email": "ann@example.com"}}
        assert (await client.post(path, headers=named, **sent)).status_code == 400
    assert (await db.exec(select(Job))).first() is None


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Host", "X_Forwarded_Host", "X-Host", "Forwarded", "X-Original-Host", "X-HTTP-Host-Override"]
)
async def test_links_in_mails_begin_with_the_site_whatever_a_header_says(
    client: httpx2.AsyncClient, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox, name: str
) -> None:
    await make_user()
    value = "host=evil.example" if name == "Forwarded" else "evil.example"
    headers = {name: value, "Host": "127.0.0.1:4444"}  # a known host at another port is not where the site is, either
    forgot = "/api/v1/accounts/password/forgot"
    assert (await client.post(forgot, json={"email": "ann@example.com"}, headers=headers)).status_code == 202
    await jobs.run()
    assert mailbox.only().link.startswith("http://127.0.0.1:8000/accounts/reset?token=")
    assert "evil" not in mailbox.only().text


async def test_two_hosts_are_refused(app: FastAPI) -> None:
    scope = {"type": "http", "method": "GET", "headers": [(b"host", b"127.0.0.1"), (b"host", b"evil")]}
    refusal = Guard(app, app.state.runtime.settings).refusal(scope)
    assert refusal is not None
    assert refusal.status == 400


async def test_a_leading_dot_allows_sub_domains(app: FastAPI, make_settings: MakeSettings) -> None:
    guard = Guard(app, make_settings(SITE_URL="https://example.com", ALLOWED_HOSTS=[".example.org"]))

    def allowed(host: str) -> bool:
        return guard.refusal({"type": "http", "method": "GET", "headers": [(b"host", host.encode())]}) is None

    assert [allowed(host) for host in ("example.com", "EXAMPLE.com:443", "a.example.org", "example.org")] == [True] * 4
    assert not any(allowed(host) for host in ("evilexample.org", "example.com.evil", "localhost"))


async def test_a_socket_from_another_site_is_refused(app: FastAPI) -> None:
    guard = Guard(app, app.state.runtime.settings)
    host = (b"host", b"127.0.0.1:8000")
    for origin, good in [
        (b"http://127.0.0.1:8000", True),
        (b"https://evil.example", False),
        (b"null", False),
    ]:
        scope = {"type": "websocket", "headers": [host, (b"origin", origin)]}
        assert (guard.refusal(scope) is None) is good


async def test_a_trusted_origin_passes(app: FastAPI, make_settings: MakeSettings) -> None:
    guard = Guard(app, make_settings(TRUSTED_ORIGINS=["https://app.example"]))
    headers = [
        (b"host", b"127.0.0.1"),
        (b"origin", b"https://app.example"),
        (b"sec-fetch-site", b"cross-site"),
    ]
    assert guard.refusal({"type": "http", "method": "POST", "headers": headers}) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /accounts/login HTTP/1.1\r\nHost: {here}", 200),
        ("GET /accounts/login HTTP/1.1\r\nHost: {here}\r\nHost: evil.example", 400),
        ("GET /accounts/login HTTP/1.1\r\nHost: evil.example\r\nHost: {here}", 400),
        ("GET /accounts/login HTTP/1.1\r\nHost: {here}\r\nHost: {here}", 400),
        ("GET /accounts/login HTTP/1.1\r\nHost: {here}, evil.example", 400),
        ("GET /accounts/login HTTP/1.1\r\nHost : {here}", 400),
        ("GET /accounts/login HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: {here}", 400),
        ("GET /accounts/login HTTP/1.1", 400),
        ("GET /accounts/login HTTP/1.0", 400),
        ("GET http://{here}/accounts/login HTTP/1.1\r\nHost: evil.example", 400),
        ("GET http://evil.example/accounts/login HTTP/1.1\r\nHost: {here}", 200),
        ("GET http://evil.example@{here}/accounts/profile HTTP/1.1\r\nHost: {here}", 303),
        ("GET //evil.example/accounts/profile HTTP/1.1\r\nHost: {here}", 404),
        ("GET @evil.example/accounts/profile HTTP/1.1\r\nHost: {here}", 400),
    ],
    ids=lambda value: str(value).replace("\r\n", " ")[:90],
)
async def test_on_the_wire_only_a_single_known_host_is_answered_and_no_other_is_ever_named(
    live_app: FastAPI, head: str, status: int
) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(uvicorn.Config(live_app, lifespan="off", proxy_headers=False, log_config=None))
        serving = asyncio.create_task(server.serve([listening]))
        address = listening.getsockname()
        reader, writer = await asyncio.open_connection(*address)
        said = head.replace("{here}", f"127.0.0.1:{address[1]}")
        writer.write(f"{said}\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        server.should_exit = True
        await serving
    assert int(answer.split(b" ")[1]) == status, answer[:300]
    assert b"evil" not in answer
