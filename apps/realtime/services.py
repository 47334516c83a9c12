"""What can be done with rooms; every voice calls these. What is said in them is in messages.py."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from apps.accounts import User
from apps.realtime.models import Member, Room
from apps.realtime.schemas import RoomCreate, RoomRead, slug_of
from project.core import AsyncSession, Invalid, Principal, Slice, get_or_404, now, paginate
from project.core.db.models import uuid7
from project.core.db.queries import contains, insert
from project.core.live import Event, publish, revoke

ACCESS = Event("access", id="access")  # who may be there has changed: ask again


def topic(room_id: UUID) -> str:
    """Where it is told what happens in a room."""
    return f"realtime.room:{room_id}"


def rights(room_id: UUID) -> str:
    """Where it is told that who may be in a room has changed."""
    return f"{topic(room_id)}/rights"


async def tell_rights(db: AsyncSession, room_id: UUID) -> None:
    """Let everybody who follows the room be asked again, once `db` has committed, whether they may."""
    for each in (topic(room_id), rights(room_id)):
        await publish(db, each, ACCESS)


def is_member(user_id: UUID | sa.ColumnElement[UUID]) -> sa.ColumnElement[bool]:
    """Whether somebody belongs to the room of the statement around this."""
    here = sa.exists().where(col(Member.room_id) == col(Room.id), col(Member.user_id) == user_id)
    return here.correlate_except(Member)


def open_to(user_id: UUID | sa.ColumnElement[UUID]) -> sa.ColumnElement[bool]:
    """The rooms that somebody may see: public ones, their own, and those they belong to."""
    return col(Room.private).is_(False) | (col(Room.owner_id) == user_id) | is_member(user_id)


async def create_room(db: AsyncSession, user: Principal, data: RoomCreate) -> Room:
    """Open a room; whoever opens it belongs to it. Raises Invalid, and Conflict where the short name is taken."""
    slug = data.slug or slug_of(data.title)
    if not slug or slug == "new":
        raise Invalid("Choose a short name: none can be made from this title.", field="slug")
    room = Room(slug=slug, title=data.title, private=data.private, owner_id=user.id)
    db.add(room)
    await db.flush()
    db.add(Member(room_id=room.id, user_id=user.id))
    await db.flush()
    return room


async def list_rooms(
    db: AsyncSession, user: Principal, *, q: str = "", mine: bool = False, limit: int = 10, offset: int = 0
) -> Slice[Room]:
    """The rooms that this person may see, those with the latest message first."""
    rooms = select(Room).where(is_member(user.id) if mine else open_to(user.id))
    if q:
        rooms = rooms.where(contains(Room.title, q) | contains(Room.slug, q))
    rooms = rooms.order_by(col(Room.updated_at).desc(), col(Room.id).desc())
    return await paginate(db, rooms, limit=limit, offset=offset)


async def get_room(db: AsyncSession, user: Principal, slug: str) -> Room:
    """The room; raises NotFound when there is none, or it is private and they do not belong to it."""
    return await get_or_404(db, select(Room).where(Room.slug == slug, open_to(user.id)))


async def read_rooms(db: AsyncSession, user: Principal, rooms: Sequence[Room]) -> list[RoomRead]:
    """The rooms as this person sees them."""
    mine = select(Member.room_id).where(Member.user_id == user.id, col(Member.room_id).in_([each.id for each in rooms]))
    joined = set((await db.exec(mine)).all())
    return [RoomRead.model_validate(each.model_dump() | {"joined": each.id in joined}) for each in rooms]


async def read_room(db: AsyncSession, user: Principal, room: Room) -> RoomRead:
    """The room as this person sees it."""
    return (await read_rooms(db, user, [room]))[0]


async def join(db: AsyncSession, user: Principal, slug: str) -> Room:
    """Belong to a room from now on; whoever does already stays as they are. Raises NotFound."""
    room = await get_room(db, user, slug)
    await add_member(db, room.id, user.id)
    return room


async def add_member(db: AsyncSession, room_id: UUID, user_id: UUID) -> None:
    """Let somebody belong to the room, once however often this is done."""
    row = insert(db, Member).values(id=uuid7(), room_id=room_id, user_id=user_id, joined_at=now())
    await db.exec(row.on_conflict_do_nothing(index_elements=["room_id", "user_id"]))


async def leave(db: AsyncSession, user: Principal, slug: str) -> Room:
    """Belong to the room no more: what still follows a private one ends. Its owner may come back. Raises NotFound."""
    room = await get_room(db, user, slug)
    await db.exec(sa.delete(Member).where(col(Member.room_id) == room.id, col(Member.user_id) == user.id))
    if room.private and room.owner_id != user.id:
        await revoke(db, user.id, topic=topic(room.id))
    return room


async def own_room(db: AsyncSession, user: Principal, slug: str) -> Room:
    """A room that this person opened; raises NotFound."""
    return await get_or_404(db, select(Room).where(Room.slug == slug, Room.owner_id == user.id))


async def invite(db: AsyncSession, user: Principal, slug: str, email: str) -> Room:
    """Let somebody into one's own room. Nobody is told whether there is such a person. Raises NotFound."""
    room = await own_room(db, user, slug)
    invited = select(User.id).where(User.email == email, col(User.is_active))
    if found := (await db.exec(invited)).first():
        await add_member(db, room.id, found)
    return room
