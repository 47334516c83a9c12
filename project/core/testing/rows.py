"""What a database holds, in a form in which two runs can be compared."""

import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Column, MetaData, RowMapping, Table

from project.core.db.engine import Database

OPAQUE = re.compile(r"(?=\S*[0-9])(?=\S*[A-Za-z])\S{32,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MECHANISM = "core_effect"  # answers that are kept for a form sent twice
NEAR = timedelta(days=1)
Rows = Counter[str]
Found = Mapping[Table, Sequence[RowMapping]]
REFLECTED = WeakKeyDictionary[Database, MetaData]()


async def read(database: Database) -> Found:
    """Every row of every table."""
    async with database.sessions[False]() as session:
        connection = await session.connection()
        if database not in REFLECTED:
            REFLECTED[database] = MetaData()
            with warnings.catch_warnings(action="ignore"):  # of indexes that reflection does not know
                await connection.run_sync(REFLECTED[database].reflect)
        tables = REFLECTED[database].tables.values()
        return {each: (await connection.execute(each.select())).mappings().all() for each in tables}


async def rows_of(database: Database, known: set[object]) -> Rows:
    """Every row of every table, as `as_text` writes it."""
    return as_text(await read(database), known)


def as_text(found: Found, known: set[object]) -> Rows:
    """The rows as text in which made-up ids, tokens, hashes and times by the clock are left open.

    Those that `known` does not hold yet are told from older ones, except the first time, when all are put into
    it. A reference is written as what the row it leads to says.
    """
    first = not known
    known.add(None)
    found = {each: rows for each, rows in found.items() if each.name != MECHANISM}
    keys = {(column, row[column]): row for each, rows in found.items() for column in each.primary_key for row in rows}

    def text(table: Table, row: Any, *, follow: bool = True) -> str:
        words = [
            f"{each.name}={said(each, row[each], follow=follow)}"
            for each in table.columns
            if not _made_up(each, row[each])
        ]
        return f"{table.name}({', '.join(words)})"

    def said(column: Column[Any], value: Any, *, follow: bool) -> str:
        for key in column.foreign_keys if value is not None else ():
            target = keys.get((key.column, value))
            return text(key.column.table, target, follow=False) if target and follow else "→"
        if not _by_chance(value):
            return OPAQUE.sub("…", repr(value))  # which may stand inside JSON
        if first:
            known.add(value)
        return "…" if value in known else "new…"

    return Counter(text(table, row) for table, rows in found.items() for row in rows)


def _made_up(column: Column[Any], value: Any) -> bool:
    """Whether this is a key that the program or the database makes up, or the request's id."""
    key = column.primary_key and not column.foreign_keys
    return column.name == "request_id" or (key and (isinstance(value, int) or _by_chance(value)))


def _by_chance(value: Any) -> bool:
    """Whether another run would have another value here: an id, a token, a hash, a time by the clock."""
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return bool(value.microsecond) or abs(aware - datetime.now(UTC)) < NEAR
    return isinstance(value, UUID) or (isinstance(value, str) and OPAQUE.fullmatch(value) is not None)
