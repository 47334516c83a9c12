"""Questions every app asks: one row or NotFound, one page of a list."""

import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, select
from sqlmodel.sql.expression import SelectOfScalar

from project.core.db.session import AsyncSession
from project.core.errors import Invalid, NotFound

INSERTS: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
M = TypeVar("M", bound=SQLModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """A part of a list: its items, the total, and where the part stands."""

    items: list[T]
    total: int
    limit: int
    offset: int

    @property
    def number(self) -> int:
        """The page's number, from 1."""
        return self.offset // self.limit + 1

    @property
    def pages(self) -> int:
        """How many pages there are, at least 1."""
        return max(1, math.ceil(self.total / self.limit))


def insert(db: AsyncSession, model: type[SQLModel]) -> Any:
    """An INSERT that may say `on_conflict_do_nothing` or `on_conflict_do_update`, which both databases know."""
    return INSERTS[db.get_bind().dialect.name](model)


async def get_or_404(db: AsyncSession, statement: SelectOfScalar[M]) -> M:
    """The one row of the statement; raises NotFound. Name the owner in it: a foreign row is not there."""
    found = (await db.exec(statement)).first()
    if found is None:
        raise NotFound
    return found


async def paginate(db: AsyncSession, statement: SelectOfScalar[T], *, limit: int = 10, offset: int = 0) -> Slice[T]:
    """The rows from `offset`, at most `limit`, and the total count. The statement brings its own order."""
    total = (await db.exec(select(func.count()).select_from(statement.order_by(None).subquery()))).one()
    items = (await db.exec(statement.limit(limit).offset(offset))).all()
    return Slice(list(items), total, limit, offset)


def order_by(statement: SelectOfScalar[T], sort: str, allowed: dict[str, Any]) -> SelectOfScalar[T]:
    """Sort by one of the allowed names, `-name` for descending; raises Invalid naming the choices."""
    column = allowed.get(sort.removeprefix("-"))
    if column is None:
        raise Invalid(f"Sort by one of: {', '.join(sorted(allowed))}; a leading minus reverses.", field="sort")
    return statement.order_by(column.desc() if sort.startswith("-") else column.asc())


def contains(column: Any, text: str) -> Any:
    """A case-insensitive "contains" in which %, _ and \\ are ordinary characters."""
    return column.icontains(text, autoescape=True)
