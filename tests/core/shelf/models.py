"""Writers and their books; kept out of the site's own metadata."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import Column, ForeignKey, MetaData, Uuid
from sqlmodel import Field, Relationship, SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession


class Shelf(SQLModel):
    """These tables are the tests' own, unknown to the migrations."""

    metadata = MetaData(naming_convention=SQLModel.metadata.naming_convention)

    id: UUID = Field(default_factory=uuid4, primary_key=True)


class Mood(StrEnum):
    HAPPY = "happy"
    SAD = "sad"


class Writer(Shelf, table=True):
    __tablename__ = "test_writer"
    name: str = Field(max_length=40, unique=True)
    books: list["Book"] = Relationship(back_populates="writer")

    def __str__(self) -> str:
        return self.name


class Book(Shelf, table=True):
    __tablename__ = "test_book"
    title: str = Field(max_length=100)
    pages: int = 0
    mood: Mood = Mood.HAPPY
    api_token: str = "hush-token"
    file: str = ""
    printed_at: datetime | None = None
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    writer_id: UUID | None = Field(default=None, foreign_key="test_writer.id")
    writer: Writer | None = Relationship(back_populates="books")
    follows_id: UUID | None = Field(
        default=None,
        sa_column=Column(Uuid, ForeignKey("test_book.id", deferrable=True, initially="DEFERRED")),
    )

    def __str__(self) -> str:
        return self.title


AddBook = Callable[..., Awaitable[Book]]


async def titles(db: AsyncSession) -> list[str]:
    return sorted((await db.exec(select(Book.title))).all())
