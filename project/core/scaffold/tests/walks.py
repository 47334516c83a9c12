"""What the walks through the whole site have to know of the scaffold."""

from typing import Any
from uuid import UUID

from apps.accounts import User
from project.core import AsyncSession
from project.core.scaffold.models import Thing
from project.core.scaffold.schemas import ThingCreate

EXAMPLE = {"title": "Hello"}


async def add_thing(db: AsyncSession, owner: User, **values: Any) -> UUID:
    """A thing of theirs: what the API takes as an example, but for these values."""
    thing = Thing(**ThingCreate.model_validate(EXAMPLE | values).model_dump(), owner_id=owner.id)
    db.add(thing)
    await db.flush()
    return thing.id


ROWS = {"thing_id": add_thing}
