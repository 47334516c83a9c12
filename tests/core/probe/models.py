"""Tables of the probe app, kept out of the site's own metadata; `create` makes them in a test's database."""

from enum import StrEnum

from sqlalchemy import Enum, ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlmodel import SQLModel

from project.core import Model
from project.core.db.models import Versioned


class Base(DeclarativeBase):
    """Its own metadata."""


class Parent(Base):
    """What a child needs by the time of the commit."""

    __tablename__ = "probe_parent"
    id: Mapped[int] = mapped_column(primary_key=True)


class Child(Base):
    """Its parent is looked for only at the commit."""

    __tablename__ = "probe_child"
    id: Mapped[int] = mapped_column(primary_key=True)
    parent_id: Mapped[int] = mapped_column(ForeignKey("probe_parent.id", deferrable=True, initially="DEFERRED"))


class State(StrEnum):
    """Two choices."""

    DRAFT = "draft"
    LIVE = "live"


class Note(Base):
    """A long text and a choice."""

    __tablename__ = "probe_note"
    id: Mapped[int] = mapped_column(primary_key=True)
    body: Mapped[str] = mapped_column(default="")
    state: Mapped[State] = mapped_column(
        Enum(State, native_enum=False, values_callable=lambda kind: [each.value for each in kind])
    )


class Counter(Base):
    """A number that many add to."""

    __tablename__ = "probe_counter"
    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


class Ledger(Base):
    """What was done, by a key that nobody may write twice."""

    __tablename__ = "probe_ledger"
    key: Mapped[str] = mapped_column(primary_key=True)


class Page(Model, Versioned, table=True):
    """A text that several people change."""

    __tablename__ = "probe_page"
    body: str = ""


PAGES = SQLModel.metadata.tables["probe_page"]
SQLModel.metadata.remove(PAGES)


async def create(engine: AsyncEngine) -> None:
    """Make the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.run_sync(PAGES.create)
