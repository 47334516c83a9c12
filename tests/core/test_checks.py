"""`check`: a site as it should be in production has no issue, and each misconfiguration of it has exactly one."""

import asyncio
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import asyncpg
import brotli
import pytest
from click.testing import CliRunner, Result
from fastapi import APIRouter, Response
from redis import Redis
from sqlalchemy.engine import URL

from project.core import AppConfig, checks
from project.core.checks import Finding, check
from project.core.db.migrations import read
from project.core.management.check import every_check
from project.core.management.cli import Site, manage as group
from project.core.runtime import Runtime
from project.core.site_checks import answers, database as database_checks, redis as redis_checks
from project.core.testing.databases import PostgresDatabases
from project.core.testing.plugin import MakeSettings, Manage
from project.core.testing.redis_server import RedisServer
from project.core.web.guard import Guard
from project.core.web.static.collecting import collect
from project.core.web.static.sources import sources_of
from project.settings import Settings

PASSWORD = "hidden-word"
KEY = secrets.token_urlsafe(40)


@dataclass(frozen=True)
class Shop:
    """A site as it should be in production: a database, a Redis, a data folder of its own."""

    settings: dict[str, object]
    database: URL
    owner: URL
    redis: RedisServer
    folder: Path

    @contextmanager
    def told(self, target: str, do: str, undo: str) -> Iterator[None]:
        """Tell the database or Redis something, and take it back."""
        if target == "redis":
            with Redis.from_url(self.redis.url) as client:
                client.execute_command(*do.split())
                yield
                client.execute_command(*undo.split())
        else:
            asyncio.run(self.execute(do))
            yield
            asyncio.run(self.execute(undo))

    async def execute(self, *statements: str) -> None:
        """As the owner of the database."""
        connection = await asyncpg.connect(self.owner.render_as_string(hide_password=False))
        for statement in statements:
            await connection.execute(statement.replace("SHOP", f'"{self.database.username}"'))
        await connection.close()


@pytest.fixture(scope="module")
def shop(postgresql_url: str, make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Made once: it is misconfigured by one thing at a time, and put right again."""
    databases, folder = PostgresDatabases(postgresql_url), tmp_path_factory.mktemp("shop")
    asyncio.run(databases.open())
    owner = databases.server.set(database=databases.template)
    mine = owner.set(username=f"shop_{secrets.token_hex(4)}", password=PASSWORD)
    (folder / "vendor").mkdir()
    (folder / "vendor" / "htmx.min.js").write_text("htmx = {}")
    with RedisServer() as redis:
        settings: dict[str, object] = {
            "SECRET_KEY": KEY,
            "SITE_URL": "https://shop.example",
            "API_DOCS": None,
            "DATABASE_URL": mine.render_as_string(hide_password=False),
            "REDIS_URL": redis.url,
            "MAIL_URL": "smtp://mail.example",
            "DATA_DIR": folder,
            "WEB_CONCURRENCY": 2,
            "METRICS_TOKEN": secrets.token_urlsafe(32),
            "LOG_LEVEL": "INFO",
        }
        made = Shop(settings, mine, owner, redis, folder)
        rights = "GRANT CREATE ON SCHEMA public TO SHOP"
        rows = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO SHOP"
        asyncio.run(made.execute(f"CREATE ROLE SHOP LOGIN PASSWORD '{PASSWORD}'", rights, rows))
        runtime = Runtime(make_settings(**settings))
        with pytest.MonkeyPatch.context() as quick:
            quick.setattr(brotli, "compress", bytes)  # seconds, for files that nobody reads here
            collect(sources_of(runtime), runtime.settings.static_root)
        yield made
    asyncio.run(made.execute("DROP OWNED BY SHOP"))
    asyncio.run(databases.close())
    asyncio.run(Shop({}, mine, databases.server, redis, folder).execute("DROP ROLE SHOP"))


Checked = Callable[..., Result]


@pytest.fixture
def checked(shop: Shop, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Run `check --deploy` on the shop, with other words and changed settings; a busy machine has time for it."""
    monkeypatch.delenv("ACCOUNTS_SIGNUP", raising=False)
    monkeypatch.setattr(checks, "SECONDS", 120)
    for room in (answers, database_checks, redis_checks):
        monkeypatch.setattr(room, "PATIENCE", 60)

    def run(*words: str, **changes: object) -> Result:
        values = shop.settings | changes
        return CliRunner().invoke(group, ["check", "--deploy", *words], obj=Site(lambda: make_settings(**values)))

    return run


def found(answer: Result) -> list[str]:
    """The ids that a run has printed."""
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return re.findall(r"^[A-Z]+ ([a-z]+\.[A-Z]\d{3}):", answer.output, re.M)


def test_the_reference_environment_has_no_issue(checked: Checked) -> None:
    answer = checked("--fail-level", "debug")
    assert (answer.output, answer.exit_code) == ("No issues found.\n", 0)


@dataclass(frozen=True)
class Wrong:
    """One misconfiguration: what is set, or told to the database or Redis, and the one id it must have."""

    id: str
    settings: dict[str, object] = field(default_factory=dict)
    told: tuple[str, str, str] | None = None
    env: dict[str, str] = field(default_factory=dict)


NOWHERE = f"postgresql://shop:{PASSWORD}@127.0.0.1:1/shop"
ERRORS = {
    "debug": Wrong("core.E101", {"DEBUG": True}, env={"ACCOUNTS_SIGNUP": "confirm"}),
    "plain http": Wrong("core.E102", {"SITE_URL": "http://shop.example"}),
    "any host": Wrong("core.E105", {"ALLOWED_HOSTS": ["*"]}),
    "any proxy": Wrong("core.E106", {"TRUSTED_PROXIES": ["*"]}),
    "a wide network of proxies": Wrong("core.E106", {"TRUSTED_PROXIES": ["0.0.0.0/1"]}),
    "open docs": Wrong("core.E107", {"API_DOCS": True}),
    "mail to the console": Wrong("core.E110", {"MAIL_URL": "console:"}),
    "a token to guess": Wrong("core.E111", {"METRICS_TOKEN": "metrics"}),
    "a plain origin": Wrong("core.E112", {"TRUSTED_ORIGINS": ["http://partner.example"]}),
    "plain static files": Wrong("core.E113", {"STATIC_URL": "http://cdn.example/static/"}),
    "a data folder nobody may write": Wrong("core.E116", {"DATA_DIR": Path("/proc/shop")}),
    "no browser assets": Wrong("core.E117", {"DATA_DIR": "{folder}/bare"}),
    "a database without this user": Wrong("core.E120", {"DATABASE_URL": "{stranger}"}),
    "a database that is away": Wrong("core.E120", {"DATABASE_URL": NOWHERE}),
    "waiting migrations": Wrong(
        "core.E121",
        told=(
            "database",
            "UPDATE alembic_version SET version_num = '0001_accounts_user_session'",
            f"UPDATE alembic_version SET version_num = '{read().one_head()[0]}'",
        ),
    ),
    "a table it may not write": Wrong(
        "core.E122", told=("database", "REVOKE INSERT ON core_job FROM SHOP", "GRANT INSERT ON core_job TO SHOP")
    ),
    "more connections than there are": Wrong("core.E123", {"DB_POOL_SIZE": 200}),
    "fewer connections than wanted": Wrong(
        "core.E123", told=("database", "ALTER ROLE SHOP CONNECTION LIMIT 79", "ALTER ROLE SHOP CONNECTION LIMIT -1")
    ),
    "Redis away": Wrong("core.E130", {"REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0"}),
    "Redis for everybody": Wrong("core.E131", {"REDIS_URL": "redis://0.0.0.0:{port}/0"}),
    "Redis that forgets": Wrong(
        "core.E132",
        told=("redis", "CONFIG SET maxmemory 1gb maxmemory-policy allkeys-lru", "CONFIG SET maxmemory 0"),
    ),
    "a replica": Wrong("core.E133", told=("redis", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE")),
    "several processes, no Redis": Wrong("core.E004", {"REDIS_URL": ""}),
    "several processes on SQLite": Wrong("core.E103", {"DATABASE_URL": "sqlite:///{folder}/migrated.sqlite3"}),
    "accounts without proof": Wrong("accounts.E101", env={"ACCOUNTS_SIGNUP": "open"}),
}


WARNINGS = {
    "one process on SQLite": Wrong("core.W104", {"DATABASE_URL": "sqlite:///{folder}/migrated.sqlite3"}),
    "files that are not collected": Wrong("core.W108", {"STATIC_ROOT": "{folder}/uncollected"}),
    "a key that was not changed": Wrong("core.W114", {"SECRET_KEY_FALLBACKS": [KEY]}),
    "a log of everything": Wrong("core.W115", {"LOG_LEVEL": "DEBUG"}),
    "a superuser": Wrong("core.W125", {"DATABASE_URL": "{owner}"}),
}
INFO = ("database", "REVOKE CREATE ON SCHEMA public FROM SHOP", "GRANT CREATE ON SCHEMA public TO SHOP")


@pytest.fixture
def checked_when(shop: Shop, checked: Checked, monkeypatch: pytest.MonkeyPatch, migrated_file: Path) -> Checked:
    """Run it on the shop with one thing wrong."""
    places = {
        "folder": shop.folder,
        "port": shop.redis.port,
        "owner": shop.owner.render_as_string(hide_password=False),
        "stranger": shop.database.set(username="stranger").render_as_string(hide_password=False),
    }

    def run(wrong: Wrong, *words: str, **changes: object) -> Result:
        (shop.folder / "migrated.sqlite3").write_bytes(migrated_file.read_bytes())
        for name, word in wrong.env.items():
            monkeypatch.setenv(name, word)
        for name, value in wrong.settings.items():
            changes[name] = value.format_map(places) if isinstance(value, str) else value
        with shop.told(*wrong.told) if wrong.told else nullcontext():
            return checked(*words, **changes)

    return run


@pytest.mark.parametrize("wrong", ERRORS.values(), ids=ERRORS.keys())
def test_each_misconfiguration_has_exactly_one_id(checked_when: Checked, wrong: Wrong) -> None:
    answer = checked_when(wrong)
    assert (found(answer), answer.exit_code) == ([wrong.id], 1), answer.output
    assert PASSWORD not in answer.output


@pytest.mark.parametrize("wrong", WARNINGS.values(), ids=WARNINGS.keys())
def test_what_is_only_unwise_fails_where_warnings_shall(checked_when: Checked, wrong: Wrong) -> None:
    one = {"WEB_CONCURRENCY": 1} if wrong.id == "core.W104" else {}
    answer = checked_when(wrong, "--fail-level", "WARNING", **one)
    assert (found(answer), answer.exit_code) == ([wrong.id], 1), answer.output


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECRET_KEY", "change-me"), ("SECRET_KEY_FALLBACKS", "former"), ("DATABASE_URL", f"mysql://shop:{PASSWORD}@db")],
)
def test_settings_that_are_refused_are_one_finding(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv(name, value)
    answer = CliRunner().invoke(group, ["check", "--deploy"], obj=Site(Settings.load))
    assert (found(answer), answer.exit_code) == (["core.E003"], 1)
    assert name in answer.output
    assert value not in answer.output


def test_a_note_never_fails(checked_when: Checked) -> None:
    answer = checked_when(Wrong("core.I124", told=INFO), "--tag", "database", "--fail-level", "warning")
    assert (found(answer), answer.exit_code) == (["core.I124"], 0)


Plug = Callable[..., list[str]]


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Plug:
    """Make an app of these sockets; gives INSTALLED_APPS with it."""

    def make(**sockets: Any) -> list[str]:
        module = ModuleType("leaky.app")
        vars(module).update(config=AppConfig("leaky", **sockets), __file__=__file__)
        monkeypatch.setitem(sys.modules, "leaky", ModuleType("leaky"))
        monkeypatch.setitem(sys.modules, "leaky.app", module)
        return ["project", "apps.accounts", "leaky"]

    return make


def bad_cookie() -> Response:
    response = Response("Hello")
    response.set_cookie("basket", "3", samesite="none")
    return response


def bad_policy() -> Response:
    return Response("Hello", headers={"Content-Security-Policy": "default-src 'self'; script-src 'self' https:"})


def bad_frame() -> Response:
    return Response("Hello", headers={"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "ALLOWALL"})


def bad_transport() -> Response:
    return Response("Hello", headers={"Strict-Transport-Security": "max-age=0"})


def broken() -> Response:
    raise RuntimeError(f"password={PASSWORD}")


@pytest.mark.parametrize(
    ("page", "id", "word"),
    [
        (bad_cookie, "core.E142", "basket of /leaky/here lacks Secure, HttpOnly, SameSite"),
        (bad_policy, "core.E141", "Content-Security-Policy"),
        (bad_frame, "core.E141", "X-Frame-Options"),
        (bad_transport, "core.E141", "Strict-Transport-Security"),
        (broken, "core.E144", "fails to answer: /leaky/here"),
    ],
)
def test_what_a_page_really_sends_is_looked_at(
    checked: Checked, plug: Plug, page: Callable[[], Response], id: str, word: str
) -> None:
    router = APIRouter()
    router.get("/here")(page)
    answer = checked(INSTALLED_APPS=plug(pages=router))
    assert (found(answer), answer.exit_code) == ([id], 1), answer.output
    assert word in answer.output
    assert not {PASSWORD, "Traceback"} & set(re.split(r"[^\w-]", answer.output))


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("", True), ("redis", False)]
)
def test_only_this_machine_needs_no_password_for_redis(host: str, here: bool) -> None:
    assert redis_checks._is_here(host) == here


def test_a_redis_that_hangs_or_is_old_is_found(shop: Shop, checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.redis.halt()
    monkeypatch.setattr(redis_checks, "PATIENCE", 0.5)
    try:
        assert found(checked("--tag", "redis")) == ["core.E130"]
    finally:
        shop.redis.go_on()
    monkeypatch.setattr(redis_checks, "PATIENCE", 60)
    monkeypatch.setattr(redis_checks, "OLDEST", (99, 0))
    assert found(checked("--tag", "redis")) == ["core.E134"]


def test_a_database_that_hangs_is_one_finding_in_time(checked: Checked) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        url = f"postgresql://shop:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/shop"
        assert found(checked(DATABASE_URL=url, DB_POOL_TIMEOUT=1)) == ["core.E120"]


def test_a_site_that_does_not_start_is_one_finding(checked: Checked, plug: Plug) -> None:
    @asynccontextmanager
    async def failing(runtime: Runtime) -> AsyncIterator[None]:
        if runtime.settings.secure:
            raise RuntimeError(f"postgresql://shop:{PASSWORD}@db.example is not mine")
        yield

    answer = checked(INSTALLED_APPS=plug(lifespan=failing))
    assert (found(answer), answer.exit_code) == (["core.E140"], 1)
    assert PASSWORD not in answer.output


def test_a_guard_that_lets_other_sites_post_is_found(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guard, "_same_site", lambda *_: True)
    assert found(checked("--tag", "answers")) == ["core.E143"]


def test_a_page_that_hangs_ends_in_time(checked: Checked, plug: Plug, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    router = APIRouter()
    router.get("/here")(hang)
    monkeypatch.setattr(answers, "PATIENCE", 0.5)
    assert "core.W145" in found(checked("--tag", "answers", INSTALLED_APPS=plug(pages=router)))


async def hangs(runtime: Runtime) -> AsyncIterator[Finding]:
    await asyncio.Event().wait()
    yield LATE


def fails(runtime: Runtime) -> Iterator[Finding]:
    yield LATE
    raise OSError(f"redis://:{PASSWORD}@cache.example refused")


def says_more(runtime: Runtime) -> Iterator[Finding]:
    yield Finding("leaky.E999", "Nobody knows me.")


LATE = Finding("leaky.W001", "It is late.")


@pytest.mark.parametrize(
    ("function", "ids", "word"),
    [
        (hangs, ["core.E001"], "hangs could not be made: it took more than 0.1 s"),
        (fails, ["core.E001", "leaky.W001"], "OSError: redis://:********@cache.example refused"),
        (says_more, ["core.E001"], "leaky.E999, which it does not declare"),
    ],
)
def test_a_check_that_cannot_be_made_is_a_finding_itself(
    manage: Manage,
    plug: Plug,
    monkeypatch: pytest.MonkeyPatch,
    function: Callable[[Runtime], Any],
    ids: list[str],
    word: str,
) -> None:
    monkeypatch.setattr(checks, "SECONDS", 0.1)
    answer = manage("check", "leaky", INSTALLED_APPS=plug(checks=[check(LATE)(function)]))
    assert (found(answer), answer.exit_code) == (ids, 1)
    assert word in answer.output


def test_what_is_meant_to_be_so_is_silenced(checked: Checked) -> None:
    answer = checked("--tag", "answers", "--fail-level", "debug", API_DOCS=True, SILENCED_CHECKS=["core.E107"])
    assert (answer.output, answer.exit_code) == ("No issues found, 1 silenced.\n", 0)


def test_tags_choose_the_checks(manage: Manage) -> None:
    wrong = {"SITE_URL": "http://shop.example", "ALLOWED_HOSTS": ["*"], "REDIS_URL": "redis://127.0.0.1:1/0"}
    assert found(manage("check", "--deploy", "-t", "redis", "--tag", "database", **wrong)) == ["core.E130"]
    assert "core.E102" in found(manage("check", "--deploy", "--tag", "settings", **wrong))
    listed = manage("check", "--list-tags").output.split()
    assert {"apps", "files"} <= set(listed)
    assert "database" not in listed
    assert {"database", "redis", "security", "accounts", *listed} <= set(
        manage("check", "--list-tags", "--deploy").output.split()
    )
    unknown = manage("check", "--deploy", "--tag", "databse")
    assert (unknown.exit_code, "Did you mean 'database'?" in unknown.output) == (1, True)


def test_apps_narrow_it_to_their_own(manage: Manage) -> None:
    wrong = {"SITE_URL": "http://shop.example", "DEBUG": True}
    assert found(manage("check", "accounts", "--deploy", **wrong)) == ["accounts.E101"]


def test_ids_are_unique_and_each_finding_says_what_to_do(make_settings: MakeSettings) -> None:
    every = [each for one in every_check(Runtime(make_settings())) for each in one.finds]
    assert len({each.id for each in every}) == len(every) >= 40
    for each in every:
        assert re.fullmatch(r"[a-z]+\.[EWI]\d{3}", each.id), each.id
        assert each.hint, each.id
