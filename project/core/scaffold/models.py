"""Tables of the scaffold."""

from uuid import UUID

from sqlmodel import Field

from project.core import Model, Timestamped


class Thing(Timestamped, Model, table=True):
    """A thing of somebody's."""

    owner_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    title: str = Field(max_length=200)
