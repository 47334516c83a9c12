"""What a database holds, in a form in which two runs can be compared."""

import re
import warnings
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Column, MetaData, Table

from project.core.db.engine import Database

OPAQUE = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])\S{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NEAR = timedelta(days=1)
Rows = Counter[str]


async def rows_of(database: Database, tables: MetaData) -> Rows:
    """Every row of every table, as text: made-up ids, tokens, hashes and the time of the run are left open.

    A reference is written as what the row it leads to says. `tables` is filled on first use.
    """
    async with database.sessions[False]() as session:
        connection = await session.connection()
        if not tables.tables:
            with warnings.catch_warnings(action="ignore"):  # of indexes that reflection does not know
                await connection.run_sync(tables.reflect)
        found = {each: (await connection.execute(each.select())).mappings().all() for each in tables.tables.values()}
    keys = {(column, row[column]): row for each, rows in found.items() for column in each.primary_key for row in rows}

    def text(table: Table, row: Any, *, follow: bool = True) -> str:
        words = [
            f"{each.name}={said(each, row[each], follow=follow)}"
            for each in table.columns
            if not made_up(each, row[each])
        ]
        return f"{table.name}({', '.join(words)})"

    def said(column: Column[Any], value: Any, *, follow: bool) -> str:
        for key in column.foreign_keys if value is not None else ():
            target = keys.get((key.column, value))
            return text(key.column.table, target, follow=False) if target and follow else "→"
        return _open(value)

    return Counter(text(table, row) for table, rows in found.items() for row in rows)


def made_up(column: Column[Any], value: Any) -> bool:
    """Whether this is a key that the program or the database makes up."""
    return column.primary_key and not column.foreign_keys and (isinstance(value, int) or _open(value) == "…")


def _open(value: Any) -> str:
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        by_clock = value.microsecond or abs(aware - datetime.now(UTC)) < NEAR
        return "now" if by_clock else aware.isoformat()
    return "…" if isinstance(value, UUID) or (isinstance(value, str) and OPAQUE.fullmatch(value)) else repr(value)
