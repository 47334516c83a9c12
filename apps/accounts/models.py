"""Tables: people and the sessions that prove who they are."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from project.core import Model, Timestamped, now


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
