"""Lists as people ask for them: words to look for, filters, an order, a part; each allowed by name."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Self, TypeVar

from fastapi import Query
from pydantic import BeforeValidator
from sqlalchemy import or_
from sqlmodel import SQLModel
from sqlmodel.sql.expression import SelectOfScalar

from project.core.db.queries import Slice, contains, paginate
from project.core.db.session import AsyncSession
from project.core.web.deps import Limit, Offset

M = TypeVar("M", bound=SQLModel)
T = TypeVar("T")
SIZE = 20  # of a page

Filter = Annotated[T | None, BeforeValidator(lambda value: None if value == "" else value)]
"""A filter's value. Empty is none: a form sends it so for "all"."""


@dataclass
class ListQuery:
    """What a list is asked for. Handlers take a subclass by `wanted: Annotated[PostQuery, Depends()]`.

    It names its filters by the columns that they are compared with, such as
    `state: Annotated[Filter[State], Query(description="…")] = None`, and as `sort` the orders there are:
    a column's name, with a minus the other way round.
    """

    q: Annotated[str, Query(max_length=200, description="Words to look for.")] = ""
    sort: Annotated[str, Query(max_length=3, pattern="^-id$", description="The order.")] = "-id"
    limit: Limit = 10
    offset: Offset = 0

    def page(self, number: int) -> Self:
        """The same, for so many rows as a page shows."""
        return replace(self, limit=SIZE, offset=SIZE * (number - 1))

    @property
    def filters(self) -> dict[str, Any]:
        """{column: value} of the filters that count."""
        named = {name: value for name, value in vars(self).items() if value is not None}
        return {name: value for name, value in named.items() if name not in ("q", "sort", "limit", "offset")}

    @property
    def narrow(self) -> bool:
        """Whether less than everything is asked for."""
        return bool(self.q or self.filters)

    async def found(self, db: AsyncSession, rows: SelectOfScalar[M], *searched: Any) -> Slice[M]:
        """This part of the rows that are wanted: the words stand in one of the columns `searched`.

        Rows that lack what they are ordered by come last; equal ones the latest first.
        """
        model: Any = rows.column_descriptions[0]["entity"]
        if self.q:
            rows = rows.where(or_(*(contains(column, self.q) for column in searched)))
        rows = rows.where(*(getattr(model, name) == value for name, value in self.filters.items()))
        by = getattr(model, self.sort.removeprefix("-"))
        order = by.desc() if self.sort.startswith("-") else by.asc()
        return await paginate(
            db, rows.order_by(order.nulls_last(), model.id.desc()), limit=self.limit, offset=self.offset
        )
