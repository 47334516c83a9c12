"""A PostgreSQL that hangs or is away: its connections are given up at once, and whoever asks then gets new ones."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from asyncpg.prepared_stmt import PreparedStatement

from project.core.db import outages
from project.core.db.engine import Database
from project.core.db.session import AsyncSession
from project.core.testing.plugin import MakeSettings
from project.core.web.problems import refusal_of

pytestmark = pytest.mark.any_database


async def hang(*_: object, **__: object) -> Any:
    raise TimeoutError


async def driver(db: AsyncSession) -> asyncpg.Connection:
    raw = await (await db.connection()).get_raw_connection()
    return raw.driver_connection


async def test_a_connection_that_hangs_is_dropped_without_another_word(
    make_settings: MakeSettings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(make_settings(DATABASE_URL=postgresql_url))
    held: list[asyncpg.Connection] = []

    async def ask_while_it_hangs() -> None:
        async with database.unit_of_work() as db:
            held.append(await driver(db))
            monkeypatch.setattr(asyncpg.Connection, "prepare", hang)
            try:
                await db.execute(sa.text("SELECT 1"))
            finally:
                assert held[0].is_closed()

    with pytest.raises(TimeoutError):
        await ask_while_it_hangs()
    monkeypatch.undo()
    async with database.unit_of_work() as db:
        assert (await db.execute(sa.text("SELECT 1"))).scalar_one() == 1
    await database.close()


async def test_a_rested_connection_that_does_not_answer_is_replaced(
    make_settings: MakeSettings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(make_settings(DATABASE_URL=postgresql_url))
    monkeypatch.setattr(outages, "RESTED", -1)
    async with database.unit_of_work() as db:
        held = await driver(db)
    execute = asyncpg.Connection.execute

    async def hang_when_asked(self: asyncpg.Connection, query: str, **options: Any) -> Any:
        return await (execute(self, query, **options) if query else hang())

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "execute", hang_when_asked)
        async with database.sessions[True]() as db:
            other = await driver(db)
            assert held.is_closed()
            assert other is not held
    await database.close()


async def test_a_server_that_is_not_there_is_away_however_it_is_reached(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    for where in [f"postgresql://ann@/site?host={tmp_path}", "postgresql://ann@127.0.0.1:1/site"]:
        database = Database(make_settings(DATABASE_URL=where))
        with pytest.raises(ConnectionError) as refused:
            await database.sessions[True]().execute(sa.text("SELECT 1"))
        assert refusal_of(refused.value).status == 503
        await database.close()


async def test_a_server_that_goes_while_it_is_connected_to_is_away(
    make_settings: MakeSettings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def closed(*_: object, **__: object) -> None:
        raise asyncpg.InterfaceError("connection is closed")

    database = Database(make_settings(DATABASE_URL=postgresql_url))
    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", closed)
    with pytest.raises(ConnectionError):
        await database.sessions[True]().execute(sa.text("SELECT 1"))
    await database.close()


@pytest.mark.parametrize("error", [TimeoutError(), asyncpg.InterfaceError("connection is closed")])
async def test_a_transaction_that_cannot_begin_leaves_no_connection_behind(
    make_settings: MakeSettings, postgresql_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object, **__: object) -> Any:
        raise error

    database = Database(make_settings(DATABASE_URL=postgresql_url, DB_POOL_SIZE=1, DB_POOL_OVERFLOW=0))
    async with database.unit_of_work() as db:
        held = await driver(db)
    with monkeypatch.context() as patch:
        patch.setattr(PreparedStatement, "fetch", fail)
        with pytest.raises(ConnectionError):
            await database.sessions[True]().execute(sa.text("SELECT 1"))
    assert held.is_closed()
    async with database.unit_of_work() as db:
        assert (await db.execute(sa.text("SHOW transaction_read_only"))).scalar_one() == "off"
    await database.close()
