"""What is said in rooms: posted, listed, removed, and read again from where somebody left.

A room's counter numbers all that happens there, in the transaction in which it happens. Its row is locked until the
commit, so numbers become visible in their order: whoever asks for what came after one of them never misses a smaller.
"""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import col, select

from apps.accounts import User
from apps.realtime.models import BIGGEST, Member, Message, Room
from apps.realtime.schemas import MessageRead, Person, Sort, name_of
from apps.realtime.services import get_room, open_to, topic
from project.core import AsyncSession, Model, NotFound, Principal, Slice, now, paginate
from project.core.db.models import uuid7
from project.core.db.queries import insert
from project.core.live import Event, publish

PORTION = 200  # events read at once
CARRIED = 16_000  # characters of JSON that travel with an event; of a longer message it is read


def _read(message: Message, slug: str, name: str) -> MessageRead:
    person = Person(id=message.author_id, name=name_of(message.author_id, name))
    told = {"id": message.number, "room": slug, "author": person, "body": message.body}
    return MessageRead.model_validate(told | {"created_at": message.created_at})


def _event(message: Message, slug: str, name: str) -> Event:
    if message.removed:
        return Event("deleted", {"id": message.number, "room": slug}, str(message.position))
    return Event("message", _read(message, slug, name).model_dump(mode="json"), str(message.position))


async def post_message(db: AsyncSession, user: Principal, slug: str, body: str) -> MessageRead:
    """Say something; in a public room whoever speaks belongs to it from then on. Raises NotFound."""
    said: dict[str, Any] = {"id": uuid7(), "author_id": user.id, "body": body, "removed": False, "created_at": now()}
    found = await _add(db, user, slug, said)
    if found is None:
        raise NotFound
    room_id, number = found
    message = Message(room_id=room_id, number=number, position=number, **said)
    event = _event(message, slug, user.name)
    if len(json.dumps(event.data)) > CARRIED:
        event = Event("message", None, event.id)
    await publish(db, topic(room_id), event)
    return _read(message, slug, user.name)


async def _add(db: AsyncSession, user: Principal, slug: str, said: dict[str, Any]) -> Sequence[Any] | None:
    """Count, join and say: on PostgreSQL in one statement, so that the room is locked for no way to and fro."""
    here = col(Room.slug) == slug
    counted = sa.update(Room).where(here, open_to(user), col(Room.latest) < BIGGEST)
    counted = counted.values(latest=col(Room.latest) + 1).execution_options(synchronize_session=False)
    at_once = db.get_bind().dialect.name == "postgresql"
    if at_once:
        place = counted.returning(col(Room.id), col(Room.latest)).cte("place")
    elif (await db.exec(counted)).rowcount:
        place = sa.select(col(Room.id), col(Room.latest)).where(here).cte("place")
    else:
        return None
    member = {"id": uuid7(), "user_id": user.id, "joined_at": now()}
    joined = _row(db, Member, member, room_id=place.c.id).on_conflict_do_nothing()
    message = _row(db, Message, said, room_id=place.c.id, number=place.c.latest, position=place.c.latest)
    if at_once:
        message = message.add_cte(joined.cte("joined"))
    else:
        await db.exec(joined)
    found: Sequence[Any] | None = (await db.execute(message.returning(col(Message.room_id), Message.number))).first()
    return found


def _row(db: AsyncSession, model: type[Model], values: dict[str, Any], **taken: sa.ColumnElement[Any]) -> Any:
    """A row with these values, for each row of what is taken from."""
    columns = sa.inspect(model).columns
    given = [sa.literal(value, columns[name].type) for name, value in values.items()]
    return insert(db, model).from_select([*values, *taken], sa.select(*given, *taken.values()).where(sa.true()))


async def remove_message(db: AsyncSession, message: Message) -> None:
    """Take what it said out of the room, for all who see it; whoever is away learns it when they come back."""
    if message.removed:
        return
    counted = sa.update(Room).where(col(Room.id) == message.room_id).values(latest=col(Room.latest) + 1)
    counted = counted.execution_options(synchronize_session=False)
    slug, position = (await db.execute(counted.returning(col(Room.slug), col(Room.latest)))).one()
    message.body, message.removed, message.position = "", True, position
    db.add(message)
    await db.flush()
    await publish(db, topic(message.room_id), _event(message, slug, ""))


async def list_messages(
    db: AsyncSession,
    user: Principal,
    slug: str,
    *,
    after: int = 0,
    before: int | None = None,
    sort: Sort = Sort.OLDEST,
    limit: int = 10,
    offset: int = 0,
) -> Slice[MessageRead]:
    """What was said, as far as it was not removed; raises NotFound."""
    room = await get_room(db, user, slug)
    number = col(Message.number)
    said = select(Message).where(Message.room_id == room.id, col(Message.removed).is_(False), number > after)
    if before is not None:
        said = said.where(number < before)
    said = said.order_by(number.desc() if sort is Sort.LATEST else number)
    found = await paginate(db, said, limit=limit, offset=offset)
    names = await _names(db, {each.author_id for each in found.items})
    items = [_read(each, slug, names.get(each.author_id, "")) for each in found.items]
    return Slice(items, found.total, limit, offset)


async def _names(db: AsyncSession, ids: set[UUID]) -> dict[UUID, str]:
    return dict((await db.exec(select(User.id, User.name).where(col(User.id).in_(ids)))).all())


async def happened(db: AsyncSession, room_id: UUID, after: int) -> tuple[int, Sequence[Event]]:
    """The room's counter, and the first PORTION of what happened after `after`, in order; raises NotFound."""
    room = (await db.exec(select(Room.latest, Room.slug).where(Room.id == room_id))).first()
    if room is None:
        raise NotFound
    latest, slug = room
    rows = (
        select(Message, User.name)
        .join(User, col(User.id) == col(Message.author_id))
        .where(Message.room_id == room_id, col(Message.position) > after, col(Message.position) <= latest)
        .order_by(col(Message.position))
        .limit(PORTION)
    )
    return latest, [_event(message, slug, name) for message, name in (await db.exec(rows)).all()]
