"""All rows out of all tables; the tables and their migrations stay."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection


async def statements(connection: AsyncConnection, tables: Iterable[sa.Table]) -> list[str]:
    """The SQL that empties those of the tables that are there, and counts from 1 again; for one transaction."""
    there = set(await connection.run_sync(lambda here: sa.inspect(here).get_table_names()))
    quote = connection.dialect.identifier_preparer.format_table
    names = [quote(table) for table in tables if table.name in there]
    if connection.dialect.name == "postgresql":
        return [f"TRUNCATE {', '.join(names)} RESTART IDENTITY"] if names else []
    counted = await connection.scalar(sa.text("SELECT count(*) FROM sqlite_master WHERE name = 'sqlite_sequence'"))
    return [
        "PRAGMA defer_foreign_keys = ON",
        *(f"DELETE FROM {name}" for name in reversed(names)),  # noqa: S608 - quoted above
        *(["DELETE FROM sqlite_sequence"] if counted else []),
    ]
