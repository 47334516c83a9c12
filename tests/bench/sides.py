"""The two sides of the benchmark: the site in production settings and the plain app, each on its own database."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from apps.accounts.manager import HASHER
from apps.accounts.models import User
from project.core import Runtime
from project.core.conf import ROOT
from project.core.testing.databases import PostgresDatabases
from project.core.testing.redis_server import RedisServer
from project.core.web.static.collecting import collect, read_manifest
from project.core.web.static.sources import Sources
from project.settings import Settings
from tests.bench.machine import Address, Server

APPS = ["project.core.scaffold", "tests.bench.twenty"]
EMAIL, PASSWORD = "reader@example.com", "a long walk by the sea"
STATIC, STATIC_SIZE = "bench.bin", 20_000
OFTEN = "1000000/minute"


@dataclass(frozen=True)
class Side:
    """A server, and the address of each work there: {"W1": …}."""

    server: Server
    addresses: Mapping[str, Address]


@contextlib.asynccontextmanager
async def both(postgresql: str, folder: Path, *, log: bool) -> AsyncIterator[tuple[Side, Side, str]]:
    """The site and the baseline, started; and the URL of one more database. With `log` both write each request down."""
    async with contextlib.AsyncExitStack() as stack:
        databases = PostgresDatabases(postgresql)
        await databases.open()
        stack.push_async_callback(databases.close)
        urls = [await stack.enter_async_context(databases.copy()) for _ in range(3)]
        redis = stack.enter_context(RedisServer())
        (folder / "static").mkdir()
        (folder / "static" / STATIC).write_bytes(os.urandom(STATIC_SIZE))  # nothing that could be compressed
        site = await _site(urls[0], redis.url, folder, log=log)
        plain = _plain(urls[1], folder, log=log)
        for server in (site, plain):
            stack.callback(server.end)
            server.start()  # compiles what Python has not compiled yet
        yield _addresses_of_site(site, folder), _addresses_of_plain(plain), urls[2]


async def _site(url: str, redis: str, folder: Path, *, log: bool) -> Server:
    """The site with all its batteries, and besides its apps the one that `startapp` copies."""
    from project.core.scaffold.models import Thing  # a table that no test wants among the site's own

    settings = {
        "DEBUG": "false",
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "SITE_URL": "https://127.0.0.1",
        "DATABASE_URL": url,
        "REDIS_URL": redis,
        "DATA_DIR": str(folder / "site"),
        "INSTALLED_APPS": ",".join([*Settings.model_fields["INSTALLED_APPS"].default, *APPS]),
        "LOG_LEVEL": "INFO" if log else "WARNING",
        "MANAGE_NO_BOOTSTRAP": "1",
        "ACCOUNTS_ACCESS_MINUTES": "60",
        "ACCOUNTS_LOGIN_RATE_ACCOUNT": OFTEN,
        "ACCOUNTS_LOGIN_RATE_ADDRESS": OFTEN,
    }
    given = {name: value for name, value in settings.items() if name in Settings.model_fields}
    make: Callable[..., Settings] = Settings
    async with Runtime(make(_env_file=None, **given)) as runtime:
        collect(Sources([("", ROOT / "static"), ("", folder / "static")]), folder / "site" / "static")
        table: Any = Thing.__table__  # type: ignore[attr-defined]
        async with runtime.database.engine.begin() as connection:
            await connection.run_sync(table.create)
        async with runtime.unit_of_work() as db:
            hashed = HASHER.hash(PASSWORD)
            people = [User(email=f"{who}{EMAIL}", hashed_password=hashed, is_verified=True) for who in ("", "w")]
            db.add_all(people)
            await db.flush()
            db.add_all([Thing(id=UUID(int=n), title=f"Thing {n}", owner_id=people[0].id) for n in range(1, 101)])
    words = "manage.py serve --workers 1 --bind 127.0.0.1:{port}"
    return Server("the site", words, os.environ | settings, folder, "/health/live")


def _plain(url: str, folder: Path, *, log: bool) -> Server:
    env = os.environ | {
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DATABASE_URL": url.replace("postgresql://", "postgresql+asyncpg://"),
        "STATIC_FOLDER": str(folder / "static"),
    }
    subprocess.run([sys.executable, "-m", "tests.bench.plain.app", EMAIL, PASSWORD], cwd=ROOT, env=env, check=True)
    words = "-m uvicorn tests.bench.plain.app:app --port {port}" + ("" if log else " --no-access-log")
    return Server("the baseline", words, env, folder, "/health")


def _addresses_of_site(server: Server, folder: Path) -> Side:
    def sign_in(email: str) -> tuple[dict[str, str], dict[str, str]]:
        told = _posted(server, "/api/v1/accounts/login", json.dumps({"email": email, "password": PASSWORD}), "json")
        cookie = {"Cookie": str(told[0]["set-cookie"]).partition(";")[0]}
        body = urlencode({"username": email, "password": PASSWORD})
        token = json.loads(_posted(server, "/api/v1/accounts/token", body, "x-www-form-urlencoded")[1])
        return cookie, {"Authorization": f"Bearer {token['access_token']}"}

    cookie, bearer = sign_in(EMAIL)
    static = read_manifest(folder / "site" / "static")[STATIC]
    paths = {"things": "/api/v1/scaffold/things", "twenty": "/api/v1/twenty/twenty", "me": "/api/v1/accounts/me"}
    paths |= {"hello": "/health/live", "nowhere": "/api/v1/scaffold/nowhere", "page": "/scaffold/things"}
    return Side(server, _works(paths, f"/static/{static}", bearer, sign_in(f"w{EMAIL}")[1], cookie))


def _addresses_of_plain(server: Server) -> Side:
    def sign_in(email: str) -> str:
        body = urlencode({"username": email, "password": PASSWORD})
        told = _posted(server, "/login/access-token", body, "x-www-form-urlencoded")[1]
        return str(json.loads(told)["access_token"])

    token = sign_in(EMAIL)
    bearer, writer = ({"Authorization": f"Bearer {each}"} for each in (token, sign_in(f"w{EMAIL}")))
    paths = {"things": "/api/things", "twenty": "/api/twenty", "me": "/users/me"}
    paths |= {"hello": "/health", "nowhere": "/api/nowhere", "page": "/things"}
    return Side(server, _works(paths, f"/static/{STATIC}", bearer, writer, {"Cookie": f"access_token={token}"}))


def _works(
    paths: Mapping[str, str],
    static: str,
    bearer: Mapping[str, str],
    writer: Mapping[str, str],
    cookie: Mapping[str, str],
) -> dict[str, Address]:
    things, sends = paths["things"], {"Content-Type": "application/json"}
    return {
        "W1": Address(paths["hello"], {}),
        "W2": Address(f"{things}/{UUID(int=77)}", bearer),
        "W3": Address(f"{things}?limit=100", bearer),
        "W4": Address(paths["twenty"], bearer),
        "W5": Address(paths["page"], cookie),
        "W6": Address(things, {**writer, **sends}, "POST", '{"title": "One more thing"}', 201),
        "W7": Address(paths["me"], bearer),
        "W9a": Address(paths["nowhere"], {}, status=404),
        "W9b": Address(things, {**writer, **sends}, "POST", '{"title": ""}', 422),
        "W10": Address(static, {}),
    }


def _posted(server: Server, path: str, body: str, kind: str) -> tuple[Any, bytes]:
    sent = Address(path, {"Content-Type": f"application/{kind}"}, "POST", body)
    status, headers, answer = server.ask(sent)
    if status != 200:
        raise RuntimeError(f"{server.name} answered {status} to {path}: {answer[:300]!r}")
    return headers, answer
