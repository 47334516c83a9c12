"""Health that tells the truth."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from redis import Redis
from sqlalchemy import text

from project.core.db.migrations import migrate_database
from project.core.jobs.doorbell import BEAT
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.testing.redis_server import RedisServer


async def test_live_answers_and_ready_knows_its_parts(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/health/live")).json() == {"status": "ok"}
    ready = await client.get("/health/ready")
    parts = {"database": "ok", "migrations": "ok", "worker": "ok", "disk": "ok"}
    assert ready.json() == {"status": "ok", "parts": parts}


async def test_a_full_disk_is_told_and_the_site_goes_on(
    make_settings: MakeSettings, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The least room counts, of SQLite's disk and of DATA_DIR's; a disk that is not there is told, too."""
    room = {"db": 300_000_000, "data": 200_000_000}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=room[path.name]))
    url, data = f"sqlite:///{tmp_path}/db/db.sqlite3", tmp_path / "data"
    async with running(make_settings(DATABASE_URL=url, DATA_DIR=data)) as app:
        await migrate_database(app.state.runtime.settings.database_url)
        client = new_client(app)
        for change, status, disk in [
            ({}, "ok", "ok"),
            ({"data": 199_999_999}, "degraded", "full"),
            ({"data": 200_000_000, "db": 0}, "degraded", "full"),
        ]:
            room |= change
            ready = await client.get("/health/ready")
            assert (ready.status_code, ready.json()["status"], ready.json()["parts"]["disk"]) == (200, status, disk)
        monkeypatch.setattr(shutil, "disk_usage", raiser(OSError("hidden")))
        assert (await client.get("/health/ready")).json()["parts"]["disk"] == "away"


def raiser(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


async def test_ready_says_when_migrations_wait(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    async with running(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/empty.sqlite3")) as app:
        ready = await new_client(app).get("/health/ready")
    assert (ready.status_code, ready.json()["parts"]["migrations"]) == (503, "pending")


async def test_a_database_that_is_away_is_503_and_heals(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    folder = tmp_path / "gone"
    settings = make_settings(DATABASE_URL=f"sqlite:///{folder}/db.sqlite3")
    async with running(settings) as app:
        client = new_client(app)
        folder.rename(tmp_path / "elsewhere")
        login = {"email": "ann@example.com", "password": "long enough"}
        away = [await client.get("/health/ready"), await client.post("/api/v1/accounts/login", json=login)]
        assert [answer.status_code for answer in away] == [503, 503]
        assert int(away[1].headers["retry-after"]) >= 1
        assert str(tmp_path) not in away[0].text + away[1].text
        assert (await client.get("/health/live")).status_code == 200
        page = await client.get("/")
        assert (page.status_code, "Back in a moment" in page.text) == (503, True)
        (tmp_path / "elsewhere").rename(folder)
        await migrate_database(settings.database_url)
        assert (await client.get("/health/ready")).status_code == 200


async def test_redis_that_is_away_is_told_and_hinders_nobody(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    with RedisServer() as server:
        async with backend.copy() as url, running(make_settings(DATABASE_URL=url, REDIS_URL=server.url)) as app:
            client = new_client(app)
            assert (await client.get("/health/ready")).json()["parts"]["redis"] == "ok"
            for fault in (server.halt, server.kill):
                fault()
                ready = await client.get("/health/ready")
                assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
                assert ready.json()["parts"]["redis"] == "away"


@pytest.mark.any_database
async def test_a_worker_that_beats_no_more_is_told_and_takes_no_web_process_away(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    with RedisServer() as server, Redis.from_url(server.url) as redis:
        async with backend.copy() as url:
            values = {"DATABASE_URL": url, "REDIS_URL": server.url}
            async with (
                running(make_settings(**values)) as app,
                running(make_settings(**values, WORKER_PROCESSES=0)) as b,
            ):
                client, without = new_client(app), new_client(b)
                for beats, state in ((False, "away"), (True, "ok"), (False, "away")):
                    redis.set(BEAT, "") if beats else redis.delete(BEAT)
                    ready = await client.get("/health/ready")
                    assert (ready.status_code, ready.json()["parts"]["worker"]) == (200, state)
                    assert (await without.get("/health/ready")).json()["parts"]["worker"] == "ok"


async def test_the_page_of_an_outage_needs_no_database(live_app: FastAPI, new_client: NewClient) -> None:
    client = new_client(live_app)
    client.cookies.set("sid", "some token", domain="127.0.0.1")
    database = live_app.state.runtime.database
    usual, database.sessions = database.sessions, {}
    try:
        answer = await client.get("/nothing-here")
    finally:
        database.sessions = usual
    assert answer.status_code in (404, 500, 503)
    assert "<html" in answer.text


async def test_many_first_starts_on_one_new_sqlite_file_all_work(make_settings: MakeSettings, tmp_path: Path) -> None:
    from project.core import Runtime

    async def start() -> int:
        runtime = Runtime(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/new.sqlite3"))
        async with runtime, runtime.unit_of_work() as db:
            return int((await db.execute(text("SELECT 1"))).scalar_one())

    assert await asyncio.gather(*(start() for _ in range(12))) == [1] * 12
