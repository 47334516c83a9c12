"""Long lists: counted no further than people look, deep pages found by their keys, foreign keys told in words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper
from sqlmodel.sql.sqltypes import AutoString

from project.core.db.queries import contains

MOST = 10_000  # rows that are counted one by one


@dataclass(frozen=True)
class Count:
    """How many rows there are; `about` is "about" or "more than" where nobody counted to the end."""

    number: int
    about: str = ""

    def __str__(self) -> str:
        return f"{self.about} {self.number:,}".strip()


async def how_many(db: AsyncSession, found: sa.Select[Any]) -> Count:
    """Count up to 10,000; beyond that a whole table is estimated where the database keeps an estimate."""
    first = found.with_only_columns(sa.literal(1), maintain_column_froms=True).order_by(None).limit(MOST + 1)
    number = await db.scalar(sa.select(sa.func.count()).select_from(first.subquery())) or 0
    if number <= MOST:
        return Count(number)
    table = found.get_final_froms()[0]
    if found.whereclause is None and isinstance(table, sa.Table) and db.get_bind().dialect.name == "postgresql":
        guess = sa.text("SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(:name)")
        if (estimate := await db.scalar(guess, {"name": table.fullname}) or 0) > MOST:
            return Count(estimate, "about")
    return Count(MOST, "more than")


def by_keys(page: sa.Select[Any], keys: Sequence[Any]) -> sa.Select[Any]:
    """The same page, its rows chosen by their keys: an index alone can skip what stands before a deep page."""
    chosen = page.with_only_columns(*keys, maintain_column_froms=True)
    return page.limit(None).offset(None).where(sa.tuple_(*keys).in_(chosen))


def counted(stmt: sa.Select[Any]) -> sa.Select[Any]:
    """What SQLAdmin wants to count, without its `SELECT count(*) FROM (…)` around it."""
    inside: Any = stmt.get_final_froms()[0]
    found: sa.Select[Any] = inside.element
    return found


def referred(mapper: Mapper[Any], name: str) -> tuple[Any, str] | None:
    """The model and its attribute that a lone foreign key leads to."""
    column = mapper.columns.get(name)
    keys = list(column.foreign_keys) if column is not None else []
    if len(keys) != 1:
        return None
    to = keys[0].column
    kinds = [each for each in mapper.registry.mappers if each.local_table is to.table]
    return (kinds[0].class_, kinds[0].get_property_by_column(to).key) if kinds else None


def holding(model: Any, path: str, term: str) -> Any:
    """Rows whose column at this path, `title` or `author.name`, contains the term, taken literally."""
    name, _, rest = path.partition(".")
    column = getattr(model, name)
    if not rest:
        return contains(column if isinstance(column.type, AutoString | sa.String) else sa.cast(column, sa.String), term)
    inside = holding(column.mapper.class_, rest, term)
    return column.any(inside) if column.property.uselist else column.has(inside)


def plural(name: str) -> str:
    """`Entry` → `Entries`; for another plural set `name_plural`."""
    name = re.sub("([^aeiou])y$", r"\1ie", name)
    return f"{name}es" if re.search("(s|x|z|ch|sh)$", name) else f"{name}s"
