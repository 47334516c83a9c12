"""Everything the seed tutorial shows, one test for each, in its order.

The seed's own routes are pasted here, corrected where they did not run as printed, and stand under SEED.
"""

import asyncio
import importlib
import json
import os
import re
import secrets
import sys
import threading
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import httpx2
import jwt
import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, status
from fastapi.testclient import TestClient
from opentelemetry import trace
from pydantic import EmailStr
from sqlalchemy import event
from sqlmodel.ext.asyncio.session import AsyncSession

import project.app
from apps.accounts.identity import ACCESS
from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, add_user, sign_in_as
from project.core import CurrentRuntime, Runtime, enqueue, get_logger, job, run_blocking
from project.core.asgi import create_app
from project.core.conf import ROOT
from project.core.db.migrations import migrate_database
from project.core.db.models import uuid7
from project.core.errors import ConfigurationError
from project.core.signing import Signer
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.pages import Page
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running

SEED = "/api/v1/seed"
USERS = "/api/v1/accounts/users"
ME = "/api/v1/accounts/me"
SEEING = {"authorization": "Bearer let me see"}
SIGN_UP = {"email": "ann@example.com", "password": PASSWORD}
SOCKETS = "ws://127.0.0.1:8000/realtime"


@pytest.fixture
async def site(make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """A site of one's own, which a test may add the seed's routes to; it touches no database."""
    async with running(make_settings(HASH_WORKERS=1, HASH_QUEUE=2)) as app:
        yield app


class Origin:
    """A web server that answers requests two by two, and counts how many are there at once."""

    def __init__(self) -> None:
        self.busy = self.peak = self.connections = 0
        self.pair = asyncio.Barrier(2)
        self.left = asyncio.Event()
        self.urls: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.busy += 1
                self.peak = max(self.peak, self.busy)
                await self.pair.wait()
                self.busy -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        self.connections -= 1
        if not self.connections:
            self.left.set()
        writer.close()


@pytest.fixture
async def origin(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Origin]:
    """Something to fetch from; the fetcher may reach it, two requests at a time."""
    found = Origin()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    netloc = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("FETCHER_ALLOW", netloc)
    monkeypatch.setenv("FETCHER_CONCURRENCY", "2")
    found.urls = [f"http://{netloc}/{number}" for number in range(6)]
    async with server:
        yield found


Served = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@pytest.fixture
async def served(tmp_path: Path) -> Served:
    """Start a server of the seed's on a free port and a migrated SQLite; gives a client, and stops it by its id."""
    await migrate_database(f"sqlite+aiosqlite:///{tmp_path / 'db.sqlite3'}")
    env = os.environ | {
        "SECRET_KEY": secrets.token_urlsafe(40),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'db.sqlite3'}",
        "DATA_DIR": str(tmp_path),
        "SITE_URL": "http://127.0.0.1",
        "LOG_LEVEL": "INFO",
    }

    @asynccontextmanager
    async def serve(*command: str, processes: int = 2) -> AsyncIterator[httpx2.AsyncClient]:
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *command, cwd=ROOT, env=env, stderr=asyncio.subprocess.PIPE
        )
        assert server.stderr is not None
        seen = ""
        try:
            async with asyncio.timeout(60):
                while len(re.findall("startup complete|] Running on", seen)) < processes and (
                    line := await server.stderr.readline()
                ):
                    seen += line.decode()
            url = re.search(r"http://127\.0\.0\.1:\d+", seen)
            assert url, seen
            async with httpx2.AsyncClient(base_url=url[0], trust_env=False) as client:
                yield client
        finally:
            with suppress(ProcessLookupError):
                server.terminate()
            await server.communicate()
        assert server.returncode == 0

    return serve


@pytest.fixture
def ann(live_app: FastAPI, anyio_backend: str) -> Iterator[TestClient]:
    """A tutorial's test client, for sockets, with somebody signed in."""
    settings = live_app.state.runtime.settings
    with TestClient(create_app(settings), base_url=settings.SITE_URL) as client:
        client.post("/accounts/signup", data=SIGN_UP)
        yield client


async def test_bounded_concurrent_fetch(origin: Origin, live_app: FastAPI, live_client: httpx2.AsyncClient) -> None:
    await sign_in_as(live_client, live_app, await add_user(live_app))
    answer = await live_client.get("/api/v1/fetcher/fetch", params={"urls": origin.urls})
    assert answer.status_code == 200
    assert [(each["url"], each["status_code"]) for each in answer.json()["results"]] == [
        (url, 200) for url in origin.urls
    ]
    assert origin.peak == 2
    assert (await live_client.get("/api/v1/fetcher/fetch")).status_code in (400, 422)


async def test_fetch_with_an_injected_client_dependency_that_cleans_up(
    origin: Origin, live_app: FastAPI, live_client: httpx2.AsyncClient
) -> None:
    await sign_in_as(live_client, live_app, await add_user(live_app))
    answer = await live_client.get("/api/v1/fetcher/multi-fetch", params={"urls": origin.urls})
    assert answer.status_code == 200
    assert [each["status_code"] for each in answer.json()["results"]] == [200] * 6
    async with asyncio.timeout(2):
        await origin.left.wait()


async def test_bounded_blocking_work_in_a_request(site: FastAPI, new_client: NewClient) -> None:
    router, entered, release = APIRouter(), asyncio.Semaphore(0), threading.Event()

    def square(x: int) -> int:
        release.wait(5)
        return x**2

    @router.get("/square/{x}")
    async def blocking_work(x: int, runtime: CurrentRuntime) -> int:
        entered.release()
        return await runtime.hashing.run(square, x)

    site.include_router(router, prefix=SEED)
    client = new_client(site)
    async with asyncio.TaskGroup() as tasks:
        admitted = [tasks.create_task(client.get(f"{SEED}/square/{x}")) for x in (2, 3)]
        for _ in admitted:
            await entered.acquire()
        refused = await client.get(f"{SEED}/square/4")
        alive = await client.get("/health/live")
        release.set()
    assert [task.result().json() for task in admitted] == [4, 9]
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert alive.status_code == 200


async def test_bounded_run_blocking_is_public() -> None:
    assert await run_blocking(pow, 3, 2) == 9


@job(runs_in="process")
def square(x: int) -> int:
    """What blocks the event loop when it is called there."""
    return x**2


async def test_cpu_work_in_a_job(runtime: Runtime, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(runtime.registry.jobs, "seed.square", square.named("seed"))
    async with runtime.unit_of_work() as db:
        await enqueue(db, "seed.square", x=3)
    await jobs.run()
    assert (await jobs.only("seed.square")).result == 9


async def test_loop_latency_monitor_and_its_alert(make_settings: MakeSettings, new_client: NewClient) -> None:
    async with running(make_settings(METRICS_TOKEN="let me see", STALL_SECONDS=0.25)) as app:
        metrics = (await new_client(app).get("/metrics", headers=SEEING)).text
    names = re.findall(r"^(\w*loop_lag\w*)", metrics, re.M)
    assert names
    rules = [path.read_text() for path in (ROOT / "project" / "deploy").rglob("*.y*ml")]
    assert any(name in text and "alert:" in text for name in names for text in rules)


async def test_users_create_201(client: httpx2.AsyncClient) -> None:
    answer = await client.post(USERS, json=SIGN_UP)
    assert answer.status_code == 201
    assert answer.json()["email"] == SIGN_UP["email"]
    assert "password" not in answer.text
    assert (await client.post(USERS, json=SIGN_UP | {"email": "nobody"})).status_code == 422


async def test_users_list_with_limit_and_offset(
    client: httpx2.AsyncClient, sign_in: SignIn, make_user: MakeUser
) -> None:
    await sign_in("staff@example.com", is_staff=True, permissions=["accounts.user.view"])
    for name in "abc":
        await make_user(f"{name}@example.com")
    answer = await client.get(USERS, params={"limit": 2, "offset": 1, "sort": "email"})
    assert [user["email"] for user in answer.json()["items"]] == ["b@example.com", "c@example.com"]
    assert (answer.json()["total"], answer.json()["limit"], answer.json()["offset"]) == (4, 2, 1)
    assert [(await client.get(USERS, params={"limit": n})).status_code for n in (0, 1, 100, 101)] == [
        422,
        200,
        200,
        422,
    ]


async def test_users_get_404(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    user = await sign_in(is_staff=True, permissions=["accounts.user.view"])
    assert (await client.get(f"{USERS}/{user.id}")).json()["email"] == user.email
    answer = await client.get(f"{USERS}/{uuid7()}")
    assert answer.status_code == 404
    assert answer.json()["detail"]


async def test_async_session_dependency(client: httpx2.AsyncClient, sign_in: SignIn, db: AsyncSession) -> None:
    await sign_in(is_staff=True, permissions=["accounts.user.view"])
    db.add(User(email="bob@example.com", hashed_password="-"))
    await db.flush()
    answer = await client.get(USERS, params={"search": "bob"})
    assert [user["email"] for user in answer.json()["items"]] == ["bob@example.com"]


async def test_async_session_dependency_commits_before_the_answer(client: httpx2.AsyncClient, runtime: Runtime) -> None:
    def refuse(_: object) -> None:
        raise TimeoutError("the disk is away")

    sessions = runtime.database.sessions[True]
    event.listen(sessions.class_.sync_session_class, "before_commit", refuse)
    try:
        answer = await client.post(USERS, json=SIGN_UP)
    finally:
        event.remove(sessions.class_.sync_session_class, "before_commit", refuse)
    assert answer.status_code == 503


async def test_header_auth_and_me(client: httpx2.AsyncClient, make_user: MakeUser) -> None:
    await make_user("ann@example.com")
    token = (await client.post("/api/v1/accounts/token", data=as_form(SIGN_UP))).json()["access_token"]
    answer = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["email"] == "ann@example.com"
    for refused in (
        await client.get(ME),
        await client.get(ME, headers={"Authorization": "Bearer secrettoken"}),
        await client.get(ME, params={"authorization": f"Bearer {token}"}),
    ):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


async def test_oauth2_form_and_jwt_with_expiry(
    client: httpx2.AsyncClient, make_user: MakeUser, runtime: Runtime
) -> None:
    user = await make_user("ann@example.com")
    answer = await client.post("/api/v1/accounts/token", data=as_form(SIGN_UP))
    assert answer.json()["token_type"].lower() == "bearer"
    claims = jwt.decode(answer.json()["access_token"], options={"verify_signature": False})
    assert claims["sub"] == str(user.id)
    assert 0 < claims["exp"] - claims["iat"] == answer.json()["expires_in"] <= 3600
    for seconds, expected in ((60, 200), (-1, 401)):
        token = Signer(runtime.settings.keys).sign(ACCESS, claims["sub"], seconds, sid=claims["sid"])
        answer = await client.get(ME, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == expected
    wrong = as_form(SIGN_UP | {"password": "wonderland"})
    assert (await client.post("/api/v1/accounts/token", data=wrong)).status_code == 400


async def test_background_tasks(site: FastAPI, new_client: NewClient) -> None:
    router, sent = APIRouter(), []

    def send_welcome_email(email: str) -> None:
        sent.append(email)

    @router.post("/register")
    async def register(email: EmailStr, background_tasks: BackgroundTasks) -> dict[str, object]:
        background_tasks.add_task(send_welcome_email, email)
        return {"status": "ok", "sent": len(sent)}

    site.include_router(router, prefix=SEED)
    answer = await new_client(site).post(f"{SEED}/register", params={"email": "ann@example.com"})
    assert answer.json() == {"status": "ok", "sent": 0}
    assert sent == ["ann@example.com"]


async def test_welcome_mail_job(client: httpx2.AsyncClient, jobs: Jobs, mailbox: Mailbox) -> None:
    user = (await client.post(USERS, json=SIGN_UP)).json()
    await jobs.only("accounts.send_welcome", user_id=user["id"])
    await client.post(USERS, json=SIGN_UP | {"email": "bob@example.com", "password": "short"})
    assert len(await jobs.all("accounts.send_welcome")) == 1
    await jobs.run()
    assert (mailbox.only().to, mailbox.only().subject) == (SIGN_UP["email"], "Welcome to Uptempo")
    assert "Confirm your e-mail" in mailbox.only().text
    assert mailbox.only().link in mailbox.only().html
    assert not (await client.get(ME)).is_success
    page = await Page(client).open(mailbox.only().link).submit("Confirm")
    assert page.messages == ["Your e-mail is confirmed. Log in to begin."]


def test_websocket_echo(ann: TestClient) -> None:
    with ann.websocket_connect(f"{SOCKETS}/echo") as socket:
        socket.send_text("hello")
        assert socket.receive_text() == "echo: hello"


def test_live_chat(ann: TestClient) -> None:
    rooms = "/api/v1/realtime/rooms"
    created = ann.post(rooms, json={"slug": "lobby", "title": "Lobby", "private": False})
    assert created.status_code == 201
    with ann.websocket_connect(f"{SOCKETS}/rooms/lobby/ws") as socket:
        ann.post(f"{rooms}/lobby/messages", json={"body": "hello"})
        frame = next(frame for frame in iter(socket.receive_json, None) if frame["type"] == "message")
    assert frame["body"] == "hello"
    assert ann.get(f"{rooms}/lobby/messages").json()["items"][0]["body"] == "hello"


class DummyAsyncDB:
    """The seed's database: it notes when it is opened and closed."""

    happened: list[str] = []

    async def fetch_user(self, user_id: int) -> dict[str, object]:
        if user_id > 100:
            raise HTTPException(status_code=status.HTTP_404_NOT_FOUND, detail="User not found")
        return {"id": 100 // user_id, "email": "ann@example.com"}


async def get_db() -> AsyncIterator[DummyAsyncDB]:
    DummyAsyncDB.happened = ["connect"]
    try:
        yield DummyAsyncDB()
    finally:
        DummyAsyncDB.happened.append("disconnect")


profiles = APIRouter()


@profiles.get("/db/users/{user_id}")
async def user_profile(user_id: int, db: Annotated[DummyAsyncDB, Depends(get_db)]) -> dict[str, object]:
    """The seed's route on the seed's database."""
    return await db.fetch_user(user_id)


@pytest.mark.parametrize(("user_id", "expected"), [(1, 200), (101, 404), (0, 500)])
async def test_clean_up_after_yield_also_on_an_error(
    site: FastAPI, new_client: NewClient, user_id: int, expected: int
) -> None:
    site.include_router(profiles, prefix=SEED)
    answer = await new_client(site).get(f"{SEED}/db/users/{user_id}")
    assert answer.status_code == expected
    assert DummyAsyncDB.happened == ["connect", "disconnect"]


async def test_sync_nested_and_per_request_cached_dependencies(site: FastAPI, new_client: NewClient) -> None:
    router, threads = APIRouter(), []

    def base() -> int:
        threads.append(threading.current_thread())
        return len(threads)

    async def nested(value: Annotated[int, Depends(base)]) -> str:
        return f"nested {value}"

    @router.get("/values")
    async def values(one: Annotated[int, Depends(base)], two: Annotated[str, Depends(nested)]) -> list[object]:
        return [one, two]

    site.include_router(router, prefix=SEED)
    client = new_client(site)
    assert (await client.get(f"{SEED}/values")).json() == [1, "nested 1"]
    assert (await client.get(f"{SEED}/values")).json() == [2, "nested 2"]
    assert threading.current_thread() not in threads


async def test_dependency_overrides(site: FastAPI, new_client: NewClient) -> None:
    class FakeDB:
        async def fetch_user(self, user_id: int) -> dict[str, object]:
            return {"id": user_id, "email": "fake@example.com"}

    async def fake_db() -> AsyncIterator[FakeDB]:
        yield FakeDB()

    site.include_router(profiles, prefix=SEED)
    site.dependency_overrides[get_db] = fake_db
    client = new_client(site)
    assert (await client.get(f"{SEED}/db/users/1")).json()["email"] == "fake@example.com"
    site.dependency_overrides.clear()
    assert (await client.get(f"{SEED}/db/users/1")).json()["email"] == "ann@example.com"


async def test_lifespan(make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(_: Runtime) -> AsyncIterator[None]:
        happened.append("startup")
        yield
        happened.append("shutdown")

    monkeypatch.setattr(project.app, "config", replace(project.app.config, lifespan=lifespan))
    async with running(make_settings()):
        assert happened == ["startup"]
    assert happened == ["startup", "shutdown"]


async def test_pools_sized_to_concurrency(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    busy: list[int] = []
    async with (
        backend.copy() as url,
        running(make_settings(DATABASE_URL=url, DB_POOL_SIZE=2, DB_POOL_OVERFLOW=0)) as app,
    ):
        pool: Any = app.state.runtime.database.reader.pool
        event.listen(pool, "checkout", lambda *_: busy.append(pool.checkedout()))
        client = new_client(app)
        answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(busy) == 20
    assert max(busy) <= (2 if backend.name == "postgresql" else 10)


async def test_uvicorn_workers(served: Served) -> None:
    async with served("uvicorn", "project.asgi:app", "--workers", "2", "--host", "127.0.0.1", "--port", "0") as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).json()["status"] == "ok"


async def test_gunicorn(served: Served) -> None:
    options = ("-c", "project/deploy/gunicorn_conf.py", "-w", "2", "--bind", "127.0.0.1:0")
    async with served("gunicorn", *options, "project.asgi:app") as client:
        live = await client.get("/health/live", headers={"X-Forwarded-For": "192.0.2.1"})
        assert (live.json(), "server" in live.headers) == ({"status": "ok"}, False)


async def test_hypercorn(served: Served) -> None:
    options = ("--config", "project/deploy/hypercorn.toml", "--workers", "1", "--bind", "127.0.0.1:0")
    async with served("hypercorn", *options, "project.asgi:app", processes=1) as client:
        live = await client.get("/health/live")
        assert (live.json(), "server" in live.headers) == ({"status": "ok"}, False)


async def test_structured_logs(
    make_settings: MakeSettings, new_client: NewClient, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(make_settings(LOG_LEVEL="INFO", LOG_FORMAT="json")) as app:
        client = new_client(app)
        answer = await client.get("/health/live?token=hunter2", headers={"X-Request-ID": "seed-request-1"})
        get_logger("seed").info("registered", email="ann@example.com", password="hunter2")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    by_event = {line["event"]: line for line in lines}
    request = by_event["request"]
    assert (request["method"], request["path"], request["status"]) == ("GET", "/health/live", 200)
    assert request["request_id"] == answer.headers["x-request-id"] == "seed-request-1"
    assert request["ms"] >= 0
    assert by_event["registered"]["email"] == "ann@example.com"
    assert "hunter2" not in str(lines)


async def test_metrics(make_settings: MakeSettings, new_client: NewClient) -> None:
    async with running(make_settings(METRICS_TOKEN="let me see")) as app:
        client = new_client(app)
        await client.get(f"{USERS}/{uuid7()}")
        answer = await client.get("/metrics", headers=SEEING)
    assert answer.status_code == 200
    assert f"{USERS}/{{user_id}}" in answer.text


def test_traces() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert "opentelemetry" in str(extras)
    assert trace.get_tracer_provider().__class__ is trace.ProxyTracerProvider  # off, unless somebody asks for it


async def test_a_serverless_handler(
    backend: Databases, make_settings: MakeSettings, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two calls share one loop, and so their connections; what never ends is not begun; without Redis none starts."""
    monkeypatch.setenv("SECRET_KEY", secrets.token_urlsafe(40))
    monkeypatch.setenv("REDIS_URL", redis_url)
    serverless = importlib.import_module("project.serverless")
    with pytest.raises(ConfigurationError, match="set REDIS_URL"):
        serverless.Handler(create_app(make_settings(REDIS_URL="")))

    def walk(app: FastAPI) -> None:
        handler = type(serverless.handler)(app)

        def call(path: str, **headers: str) -> dict[str, Any]:
            http = {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"}
            event = {"version": "2.0", "rawPath": path, "rawQueryString": "", "isBase64Encoded": False}
            named = {"host": "127.0.0.1:8000"} | headers
            found: dict[str, Any] = handler(event | {"requestContext": {"http": http}, "headers": named}, None)
            return found

        answers = [call("/health/live"), call("/health/ready"), call("/health/ready")]
        assert [answer["statusCode"] for answer in answers] == [200, 200, 200]
        assert json.loads(answers[0]["body"]) == {"status": "ok"}
        assert app.state.runtime.database.reader.pool.checkedin() == 1
        assert call("/live/stream", accept="text/event-stream")["statusCode"] == 204
        handler.close()

    async with backend.copy() as url:
        await asyncio.to_thread(walk, create_app(make_settings(DATABASE_URL=url, REDIS_URL=redis_url)))


def test_the_github_workflow() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert re.search(r"^on:$.*^  push:.*^  pull_request:", workflow, re.M | re.S)
    steps = "\n".join(re.findall(r"run: (.+)", workflow))
    if ".ci/run" in steps:
        steps += "\n" + (ROOT / ".ci" / "run").read_text()
    assert re.search(r"^python3? manage\.py ci$", steps, re.M)


def as_form(account: dict[str, str]) -> dict[str, str]:
    """What the OAuth2 password form calls it."""
    return {"username": account["email"], "password": account["password"]}
