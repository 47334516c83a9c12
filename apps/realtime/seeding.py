"""A demo room in which people have said something."""

from sqlmodel import col, select

from apps.accounts import User
from apps.realtime.messages import post_message
from apps.realtime.models import Room
from apps.realtime.schemas import RoomCreate
from apps.realtime.services import create_room
from project.core import AsyncSession, Principal, Runtime
from project.core.db.models import uuid7

ROOM = RoomCreate(title="Welcome", slug="welcome")
SAID = [("ann", "Hello! Is anybody here?"), ("bob", "I am. What is this place?"), ("ann", "A room: open it twice.")]


async def seed(db: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Add the room, if there is none at its address, and if Ann and Bob are there."""
    emails = {f"{name}@example.com": name for name, _ in SAID}
    people = {
        emails[user.email]: Principal(user.id, user.email, user.name, uuid7())
        for user in await db.exec(select(User).where(col(User.email).in_(emails)))
    }
    taken = (await db.exec(select(Room.id).where(Room.slug == ROOM.slug))).first()
    if taken or len(people) < len(emails):
        return {"rooms": 0}
    room = await create_room(db, people["ann"], ROOM)
    for name, body in SAID:
        await post_message(db, people[name], room.slug, body)
    return {"rooms": 1, "messages": len(SAID)}
