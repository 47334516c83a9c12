"""What can be done with things; every voice calls these."""

from typing import Any
from uuid import UUID

from sqlmodel import select

from project.core import AsyncSession, Principal, Slice, get_or_404
from project.core.scaffold.models import Thing
from project.core.scaffold.schemas import ThingCreate, ThingQuery


async def list_things(db: AsyncSession, user: Principal, wanted: ThingQuery) -> Slice[Thing]:
    """This person's things, as wanted."""
    return await wanted.found(db, select(Thing).where(Thing.owner_id == user.id), Thing.title)


async def get_thing(db: AsyncSession, user: Principal, thing_id: UUID) -> Thing:
    """The thing; raises NotFound when there is none, or it is not theirs."""
    return await get_or_404(db, select(Thing).where(Thing.id == thing_id, Thing.owner_id == user.id))


async def create_thing(db: AsyncSession, user: Principal, data: ThingCreate) -> Thing:
    """Add a thing, which is theirs."""
    thing = Thing(**data.model_dump(), owner_id=user.id)
    db.add(thing)
    await db.flush()
    return thing


async def update_thing(db: AsyncSession, user: Principal, thing_id: UUID, changes: dict[str, Any]) -> Thing:
    """Change a thing of theirs; raises NotFound."""
    thing = await get_thing(db, user, thing_id)
    thing.sqlmodel_update(changes)
    await db.flush()
    return thing


async def delete_thing(db: AsyncSession, user: Principal, thing_id: UUID) -> None:
    """Delete a thing of theirs; raises NotFound."""
    await db.delete(await get_thing(db, user, thing_id))
    await db.flush()
