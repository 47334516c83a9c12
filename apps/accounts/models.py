"""Tables: people, the sessions that prove who they are, and the groups that say what they may do."""

import json
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Relationship, SQLModel, col

from project.core import Model, Timestamped, now
from project.core.db.models import Versioned


class User(Timestamped, Model, table=True):
    """A person. The e-mail is stored normalised, so one mailbox has one account."""

    email: str = Field(max_length=320, unique=True)
    name: str = Field(default="", max_length=100)
    hashed_password: str = Field(max_length=255)
    is_active: bool = True
    is_staff: bool = False
    is_superuser: bool = False
    is_verified: bool = False

    def __str__(self) -> str:
        return self.email


class Session(Model, table=True):
    """A signed-in browser or API client. Only its token's hash is kept; deleting the row signs it out."""

    token_hash: str = Field(max_length=64, unique=True)
    user_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    kind: str = Field(default="browser", max_length=10)
    user_agent: str = Field(default="", max_length=300)
    address: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=now)
    last_seen_at: datetime = Field(default_factory=now)
    expires_at: datetime = Field(index=True)


class Membership(SQLModel, table=True):
    """Who is in which group."""

    __tablename__ = "accounts_membership"

    user_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", primary_key=True)
    group_id: UUID = Field(foreign_key="accounts_group.id", ondelete="CASCADE", primary_key=True, index=True)


class Group(Timestamped, Versioned, Model, table=True):
    """What its members may do, as names like `fetcher.batch.change`; one that no app knows any more does nothing."""

    name: str = Field(max_length=100, unique=True)
    permissions: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    members: list[User] = Relationship(link_model=Membership, sa_relationship_kwargs={"passive_deletes": True})

    def __str__(self) -> str:
        return self.name


# A part of the one query that asks who somebody is: the lists of all their groups, one on each line.
GRANTED = (
    sa.select(sa.func.aggregate_strings(sa.cast(Group.permissions, sa.Text), "\n"))
    .join(Membership, col(Membership.group_id) == col(Group.id))
    .where(col(Membership.user_id) == col(User.id))
    .correlate(User)
    .scalar_subquery()
)


def granted(lists: str | None) -> frozenset[str]:
    """The permissions in what GRANTED gave."""
    return frozenset(name for line in (lists or "").splitlines() for name in json.loads(line))
