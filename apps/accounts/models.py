"""Tables: people, what proves who they are, what they may do, and what happened to their accounts."""

import json
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, Relationship, SQLModel, col

from apps.accounts.devices import device_of
from apps.accounts.kinds import WARNINGS, WORDS
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
    """A signed-in browser, or an API client with its family of refresh tokens; deleting the row signs it out.

    `token_hash` is the keyed hash of a browser's cookie, or of the part that all refresh tokens of a family share.
    """

    __transient__ = True

    token_hash: str = Field(max_length=64, unique=True)
    user_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    kind: str = Field(default="browser", max_length=10)
    remember: bool = False  # whether it may rest for days
    user_agent: str = Field(default="", max_length=300)
    address: str = Field(default="", max_length=64)
    created_at: datetime = Field(default_factory=now)
    last_seen_at: datetime = Field(default_factory=now)
    expires_at: datetime = Field(index=True)

    @property
    def device(self) -> str:
        """What signed in, in words."""
        return device_of(self.user_agent)


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


class RefreshToken(Model, table=True):
    """A refresh token of an API client's session: the one that counts, and those used a few seconds ago."""

    __transient__ = True

    session_id: UUID = Field(foreign_key="accounts_session.id", ondelete="CASCADE", index=True)
    token_hash: str = Field(max_length=64, unique=True)
    next_secret: str = Field(max_length=64)  # with the used token itself, it gives the token that followed
    used_at: datetime | None = None


class ApiToken(Model, table=True):
    """A token that a person made for a program of theirs. Only its hash is kept; deleting the row revokes it."""

    __transient__ = True

    user_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    name: str = Field(max_length=100)
    token_hash: str = Field(max_length=64, unique=True)
    scopes: list[str] = Field(sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now)
    expires_at: datetime = Field(index=True)
    last_used_at: datetime | None = None


class Event(Model, table=True):
    """What happened to an account, or at the door to none. Never a secret, nor what somebody typed as an e-mail.

    Much of the same is one row with a `count`; it tells of the last time.
    """

    user_id: UUID | None = Field(default=None, foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    kind: str = Field(max_length=30)
    detail: str = Field(default="", max_length=100)
    address: str = Field(default="", max_length=64)
    device: str = Field(default="", max_length=100)
    count: int = 1
    happened_at: datetime = Field(default_factory=now, index=True)

    @property
    def words(self) -> str:
        """What happened, for people."""
        return WORDS.get(self.kind, self.kind)

    @property
    def warning(self) -> bool:
        """Whether it may have been somebody else."""
        return self.kind in WARNINGS
