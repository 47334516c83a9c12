"""Tables of realtime: rooms, who belongs to them, and what is said there."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from project.core import Model, Timestamped, now

BIGGEST = 2**31 - 1  # of a place in a room's log


class Room(Timestamped, Model, table=True):
    """A place where people talk. `latest` counts what has happened there: the log of the room has no holes."""

    slug: str = Field(max_length=60, unique=True)
    title: str = Field(max_length=120)
    private: bool = False
    owner_id: UUID | None = Field(default=None, foreign_key="accounts_user.id", ondelete="SET NULL", index=True)
    latest: int = 0

    def __str__(self) -> str:
        return self.title


class Member(Model, table=True):
    """Somebody belongs to a room."""

    __table_args__ = (sa.UniqueConstraint("room_id", "user_id"),)

    room_id: UUID = Field(foreign_key="realtime_room.id", ondelete="CASCADE")
    user_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    joined_at: datetime = Field(default_factory=now)


class Message(Model, table=True):
    """Something that was said. `number` is its public id; `position` is where the room's log tells of it last.

    Both come from the room's counter. A removed message has lost its text and stands where its removal does.
    """

    __table_args__ = (sa.UniqueConstraint("room_id", "number"), sa.UniqueConstraint("room_id", "position"))

    room_id: UUID = Field(foreign_key="realtime_room.id", ondelete="CASCADE")
    author_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    number: int
    position: int
    body: str = Field(max_length=4000)
    removed: bool = False
    created_at: datetime = Field(default_factory=now)

    def __str__(self) -> str:
        return self.body[:80]
