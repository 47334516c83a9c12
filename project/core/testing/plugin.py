"""The fixtures; their list is in this package's docstring."""

import asyncio
import importlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI

from project.core.asgi import create_app
from project.core.conf import Settings
from project.core.db.migrations import migrate_database
from project.core.db.session import AsyncSession
from project.core.management.cli import Site, manage as group
from project.core.runtime import Runtime
from project.core.testing.budgets import CountingTransport
from project.core.testing.databases import PostgresDatabases, SQLiteFiles, postgresql_server, rolled_back
from project.core.testing.htmx import HtmxPage
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.pages import Page
from project.core.testing.recorded import RecordedBus
from project.core.testing.redis_server import RedisServer
from project.core.web.limits import Limiter

BACKENDS = ["sqlite", "postgresql"]
USED: dict[str, str] = {}
NOTES: dict[str, str] = {}  # {whose: what the last lines say besides}
Databases = SQLiteFiles | PostgresDatabases
NewClient = Callable[[FastAPI], httpx2.AsyncClient]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", choices=BACKENDS, action="append", help="run on this database only")
    parser.addini(
        "uptempo_settings",
        "the project's settings class, as module:name",
        default="project.settings:Settings",
    )


def pytest_configure(config: pytest.Config) -> None:
    from project.core.testing import blocking, loop

    config.addinivalue_line("markers", "any_database: what is tested has nothing to do with the kind of database")
    config.pluginmanager.register(blocking)
    config.pluginmanager.register(loop)  # after anyio's own plug-in, so that its fixture gives way


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("--backend") or BACKENDS
        if metafunc.definition.get_closest_marker("any_database"):
            chosen = chosen[:1]
        metafunc.parametrize("backend", chosen, indirect=True, scope="session")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if USED:
        terminalreporter.write_line(f"Databases used: {', '.join(sorted(USED.values()))}.")
    for note in NOTES.values():
        terminalreporter.write_line(note)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where several processes run the tests, hand on what the last lines shall say."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["told"] = [USED, NOTES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    for mine, told in zip((USED, NOTES), getattr(node, "workeroutput", {}).get("told", ()), strict=False):
        mine |= told


@pytest.fixture(scope="session")
def postgresql_url() -> str:
    """A server on which throw-away databases may be made."""
    url, origin = postgresql_server()
    USED.setdefault("origin", f"server from {origin}")
    return url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """TEST_REDIS_URL, or a server of these tests' own."""
    if given := os.environ.get("TEST_REDIS_URL"):
        yield given
    else:
        with RedisServer() as server:
            yield server.url


@pytest.fixture(scope="session")
async def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    """The kind of database, once for each: its migrated template can be copied."""
    databases: Databases
    if request.param == "sqlite":
        databases = SQLiteFiles(tmp_path_factory.mktemp("sqlite"))
    else:
        databases = PostgresDatabases(request.getfixturevalue("postgresql_url"))
    USED[request.param] = await databases.open()
    yield databases
    await databases.close()


@pytest.fixture(scope="session")
def settings_class(pytestconfig: pytest.Config) -> type[Settings]:
    """The project's settings class."""
    module, _, name = str(pytestconfig.getini("uptempo_settings")).partition(":")
    found: type[Settings] = getattr(importlib.import_module(module), name)
    return found


MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def make_settings(settings_class: type[Settings], tmp_path_factory: pytest.TempPathFactory) -> MakeSettings:
    """Settings as in production, untouched by .env, with what a test wants changed."""
    data = tmp_path_factory.mktemp("data")
    (data / "vendor").mkdir()
    (data / "vendor" / "htmx.min.js").touch()

    def make(**values: object) -> Settings:
        usual = {
            "SECRET_KEY": secrets.token_urlsafe(40),
            "DATA_DIR": data,
            "SITE_NAME": "Uptempo",
            "API_DOCS": True,
            "LOG_LEVEL": "WARNING",
            "STALL_SECONDS": 0,  # the loop of the tests stands still between two of them; for a handler see blocking.py
        }
        construct: Callable[..., Settings] = settings_class
        return construct(_env_file=None, **(usual | values))

    return make


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """The site with its lifespan run."""
    app = create_app(settings)
    app.state.static.strict = True  # in tests a template that names a missing static file fails
    app.state.runtime.runs_jobs = False  # the fixture `jobs` does
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="session")
async def shared_app(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """One app for all tests on this kind of database."""
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        yield app


@pytest.fixture
async def app(shared_app: FastAPI) -> AsyncIterator[FastAPI]:
    """The app, inside a transaction that is rolled back; limits and overrides are reset."""
    shared_app.state.limiter = Limiter()
    async with rolled_back(shared_app.state.runtime.database):
        yield shared_app
    shared_app.dependency_overrides.clear()


@pytest.fixture
def runtime(app: FastAPI) -> Runtime:
    """The app's runtime."""
    found: Runtime = app.state.runtime
    return found


@pytest.fixture
def bus(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> RecordedBus:
    """The bus of the app; what was published on it, after the commit, is in `bus.published`."""
    recorded = RecordedBus()
    monkeypatch.setattr(runtime, "bus", recorded)
    monkeypatch.setitem(runtime.database.info, "bus", recorded)
    return recorded


@pytest.fixture
def mailbox(runtime: Runtime) -> Iterator[Mailbox]:
    """The mails that this test sends; none leaves the process."""
    usual, runtime.mail.sender = runtime.mail.sender, (box := Mailbox())
    yield box
    runtime.mail.sender = usual


@pytest.fixture
async def db(runtime: Runtime) -> AsyncIterator[AsyncSession]:
    """A session beside the app's: what it flushes, the app sees."""
    async with runtime.database.sessions[True]() as session:
        yield session


@pytest.fixture
def jobs(runtime: Runtime) -> Jobs:
    """The jobs of this test: run them, look at them, let time pass."""
    return Jobs(runtime)


@pytest.fixture
async def new_client() -> AsyncIterator[NewClient]:
    """Make clients that are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(app: FastAPI) -> httpx2.AsyncClient:
            transport = CountingTransport(app=app, raise_app_exceptions=False)
            client = httpx2.AsyncClient(transport=transport, base_url=app.state.runtime.settings.SITE_URL)
            stack.push_async_callback(client.aclose)
            return client

        yield make


@pytest.fixture
def client(app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on the app; nobody is signed in."""
    return new_client(app)


@pytest.fixture
def page(client: httpx2.AsyncClient) -> Page:
    """A tab without JavaScript, with the cookies of `client`."""
    return Page(client)


@pytest.fixture
def htmx_page(client: httpx2.AsyncClient) -> HtmxPage:
    """A tab in which htmx runs, with the cookies of `client`."""
    return HtmxPage(client)


@pytest.fixture(params=[Page, HtmxPage], ids=["html", "htmx"])
def either_page(request: pytest.FixtureRequest, client: httpx2.AsyncClient) -> Page:
    """A tab without JavaScript, then one with htmx: the test runs twice."""
    found: Page = request.param(client)
    return found


@pytest.fixture
async def live_app(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """An app on a database of its own, where commits are real."""
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url)) as app:
        yield app


@pytest.fixture
def live_client(live_app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on the live app."""
    return new_client(live_app)


Manage = Callable[..., Result]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy; for tests without an event loop."""
    path = tmp_path_factory.mktemp("migrated") / "db.sqlite3"
    asyncio.run(migrate_database(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture
def manage(make_settings: MakeSettings, migrated_file: Path, tmp_path: Path) -> Manage:
    """Run a command of manage.py in this process: `manage("check", "--deploy").exit_code`.

    Its database is a migrated SQLite file of this test's own; `input` is typed, other names change settings.
    """
    path = tmp_path / "db.sqlite3"
    shutil.copy(migrated_file, path)

    def run(*words: str, input: str | None = None, **values: object) -> Result:
        settings = make_settings(**({"DATABASE_URL": f"sqlite:///{path}"} | values))
        return CliRunner().invoke(group, words, obj=Site(lambda: settings), input=input)

    return run
