"""Deletions: all or none, and what they take along, leave without a link, or run against, counted before they are."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, selectinload
from starlette.requests import Request

from project.core.admin.listing import how_many
from project.core.errors import BadRequest, Forbidden

if TYPE_CHECKING:
    from project.core.admin.views import ModelAdmin

GONE, FREED, BLOCKING = "gone", "freed", "blocking"
RULES = {"CASCADE": GONE, "SET NULL": FREED, "SET DEFAULT": FREED}


def _rule(mapper: Mapper[Any] | None, key: sa.ForeignKey) -> str:
    """What becomes of the rows that hold this key: by the relationship of what they refer to, else by the database."""
    for each in mapper.relationships if mapper else ():
        if each.secondary is key.parent.table:
            return ""  # mere links
        if key.parent in each.remote_side and each.uselist and each.passive_deletes != "all":
            if each.cascade.delete:
                return GONE
            if not each.passive_deletes:
                return FREED if key.parent.nullable else BLOCKING
    return RULES.get((key.ondelete or "").upper(), BLOCKING)


async def deletable(view: "ModelAdmin", request: Request, pks: Sequence[str]) -> Sequence[Any]:
    """The rows with these keys; raises BadRequest for none, NotFound, and Forbidden for what must stay."""
    if not pks:
        raise BadRequest("Choose what to delete first.")
    if not view.can_delete or not view.is_accessible(request):
        raise Forbidden
    async with view.session_maker() as db:
        rows = await view.rows_of(db, pks)
    if not all([await view.check_can_delete(request, row) is True for row in rows]):
        raise Forbidden
    return rows


async def delete_all(view: "ModelAdmin", request: Request, pks: Sequence[str]) -> None:
    """Delete the rows in one transaction, all or none; raises what `on_model_delete` refuses, and NotFound."""
    going = [each.class_attribute for each in view._mapper.relationships if each.uselist and not each.passive_deletes]
    async with view.session_maker(autoflush=True) as db:  # what a hook asks knows of the rows before this one
        rows = await view.rows_of(db, pks, *map(selectinload, going))
        for row in rows:
            await view.on_model_delete(row, request)
            await view.remove(db, row)
        await db.commit()
    for row in rows:
        await view.after_model_delete(row, request)


async def consequences(view: "ModelAdmin", pks: Sequence[str]) -> dict[str, dict[str, int]]:
    """{what becomes of them: {table: how many}} for the rows of other tables, when these are deleted."""
    async with view.session_maker() as db:
        return await _followed(db, view._mapper, view.chosen(pks))


async def _followed(db: AsyncSession, mapper: Mapper[Any], chosen: Any) -> dict[str, dict[str, int]]:
    mappers = {each.local_table: each for each in mapper.registry.mappers}
    found: dict[str, Counter[str]] = {GONE: Counter(), FREED: Counter(), BLOCKING: Counter()}
    waiting: list[Any] = [(mapper.local_table, chosen)]
    followed: set[sa.ForeignKey] = set()
    for table, these in waiting:
        for key in [key for other in table.metadata.tables.values() for key in other.foreign_keys]:
            if key.column.table is not table or key in followed:
                continue
            followed.add(key)
            holding = key.parent.in_(sa.select(key.column).where(these).correlate(None))
            others = holding & sa.not_(these) if key.parent.table is table else holding
            rule = _rule(mappers.get(table), key)
            count = (await how_many(db, sa.select(key.parent).where(others))).number if rule else 0
            if count:
                found[rule][key.parent.table.name] += count
            if count and rule == GONE:
                waiting.append((key.parent.table, holding))
    return {rule: dict(counts) for rule, counts in found.items()}
