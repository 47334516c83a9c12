"""What is said in rooms: posted, listed, removed, and read again from where somebody left.

A room's counter numbers all that happens there, in the transaction in which it happens. Its row is locked until the
commit, so numbers become visible in their order: whoever asks for what came after one of them never misses a smaller.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import col, select
from sqlmodel.sql.sqltypes import UTCDateTime

from apps.accounts import User
from apps.realtime.models import BIGGEST, Member, Message, Room
from apps.realtime.schemas import MessageRead, Person, Sort, name_of
from apps.realtime.services import add_member, get_room, open_to, topic
from project.core import AsyncSession, NotFound, Principal, Slice, now, paginate
from project.core.db.models import uuid7
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
    (read,) = await post_messages(db, slug, [(user, body)])
    if read is None:
        raise NotFound
    return read


async def post_messages(
    db: AsyncSession, slug: str, said: Sequence[tuple[Principal, str]]
) -> Sequence[MessageRead | None]:
    """The same for many who speak at once; None for each who may not."""
    moment, found = now(), list[MessageRead | None]()
    rows: list[dict[str, Any]] = [
        {"id": uuid7(), "author_id": user.id, "body": body, "created_at": moment} for user, body in said
    ]
    add = _add_at_once if db.get_bind().dialect.name == "postgresql" else _add_one_by_one
    added = {message_id: (room_id, number) for message_id, room_id, number in await add(db, slug, rows)}
    for row, (user, _) in zip(rows, said, strict=True):
        if (place := added.get(row["id"])) is None:
            found.append(None)
            continue
        room_id, number = place
        message = Message(**row, room_id=room_id, number=number, position=number)
        event = _event(message, slug, user.name)
        if len(json.dumps(event.data)) > CARRIED:
            event = Event("message", None, event.id)
        await publish(db, topic(room_id), event)
        found.append(_read(message, slug, user.name))
    return found


async def _add_one_by_one(db: AsyncSession, slug: str, rows: Sequence[dict[str, Any]]) -> Sequence[Any]:
    added = []
    for row in rows:
        counted = (
            sa.update(Room)
            .where(col(Room.slug) == slug, open_to(row["author_id"]), col(Room.latest) < BIGGEST)
            .values(latest=col(Room.latest) + 1)
            .returning(col(Room.id), col(Room.latest))
            .execution_options(synchronize_session=False)
        )
        if place := (await db.execute(counted)).first():
            await add_member(db, place[0], row["author_id"])
            await db.execute(sa.insert(Message).values(**row, room_id=place[0], number=place[1], position=place[1]))
            added.append((row["id"], *place))
    return added


async def _add_at_once(db: AsyncSession, slug: str, rows: Sequence[dict[str, Any]]) -> Sequence[Any]:
    """In one statement, so that the room's row is locked for no way to and fro."""
    given = {f"said_{name}": [row[name] for row in rows] for name in ("id", "author_id", "body")}
    return (await db.execute(_saying(), {**given, "said_slug": slug, "said_at": rows[0]["created_at"]})).all()


@cache
def _saying() -> sa.Executable:
    # No parameter is called as a column: SQLAlchemy would set that column to it.
    kinds: dict[str, Any] = {"id": sa.Uuid(), "author_id": sa.Uuid(), "body": sa.String()}
    lists: list[Any] = [sa.bindparam(f"said_{name}", type_=postgresql.ARRAY(kind)) for name, kind in kinds.items()]
    columns: list[Any] = [sa.column(name, kind) for name, kind in kinds.items()]
    given = sa.func.unnest(*lists).table_valued(*columns, with_ordinality="turn").render_derived(name="given")
    here, at = col(Room.slug) == sa.bindparam("said_slug"), sa.bindparam("said_at", type_=UTCDateTime())
    nth = sa.func.row_number().over(order_by=given.c.turn).label("nth")
    allowed = here & open_to(given.c.author_id)
    said = sa.select(*(given.c[name] for name in kinds), nth).join_from(given, Room, allowed).cte("said")
    many = sa.select(sa.func.count()).select_from(said).scalar_subquery()
    counted = sa.update(Room).where(here, many > 0, col(Room.latest) + many <= BIGGEST)
    counted = counted.values(latest=col(Room.latest) + many, updated_at=at)
    place = counted.returning(col(Room.id), (col(Room.latest) - many).label("before")).cte("place")
    each = said.join(place, sa.true())
    joined = postgresql.insert(Member).from_select(
        ["id", "room_id", "user_id", "joined_at"],
        sa.select(said.c.id, place.c.id, said.c.author_id, at).select_from(each),
    )
    number = place.c.before + said.c.nth
    table: Any = sa.inspect(Message).local_table
    message = postgresql.insert(table).from_select(
        [*kinds, "room_id", "number", "position", "removed", "created_at"],
        sa.select(*(said.c[name] for name in kinds), place.c.id, number, number, sa.false(), at).select_from(each),
    )
    message = message.add_cte(joined.on_conflict_do_nothing().cte("joined"))
    return message.returning(col(Message.id), col(Message.room_id), col(Message.number))


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
