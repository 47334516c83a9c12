"""Tables of the probe app, kept out of the site's own metadata; `create` makes them in a test's database."""

from sqlalchemy import ForeignKey
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


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


class Counter(Base):
    """A number that many add to."""

    __tablename__ = "probe_counter"
    id: Mapped[int] = mapped_column(primary_key=True)
    count: Mapped[int] = mapped_column(default=0)


async def create(engine: AsyncEngine) -> None:
    """Make the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
