"""Writers, novels and what hangs on them; kept out of the site's own metadata."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import MetaData
from sqlmodel import Field, Relationship, SQLModel


class Kept(SQLModel):
    """The base of these tables."""

    metadata = MetaData(naming_convention=SQLModel.metadata.naming_convention)

    id: UUID = Field(default_factory=uuid4, primary_key=True)


class Mood(StrEnum):
    """Two choices."""

    HAPPY = "happy"
    SAD = "sad"


class Shelving(SQLModel, table=True):
    """Which novel is of which genre."""

    metadata = Kept.metadata
    __tablename__ = "library_shelving"

    novel_id: UUID = Field(foreign_key="library_novel.id", primary_key=True)
    genre_id: UUID = Field(foreign_key="library_genre.id", primary_key=True)


class Genre(Kept, table=True):
    """A kind of novel."""

    __tablename__ = "library_genre"
    name: str = Field(max_length=40)


class Author(Kept, table=True):
    """Has no `__str__`, and a column that nobody may read."""

    __tablename__ = "library_author"
    name: str = Field(max_length=40, unique=True)
    note: str | None = Field(default=None, max_length=40)
    api_token: str = "hush-token"


class Novel(Kept, table=True):
    """Goes with its author."""

    __tablename__ = "library_novel"
    title: str = Field(max_length=100)
    pages: int = 0
    lent: bool = False
    mood: Mood = Mood.HAPPY
    api_token: str = "hush-token"
    file_hash: str = "hush-hash"
    printed_at: datetime | None = None
    author_id: UUID | None = Field(default=None, foreign_key="library_author.id", ondelete="CASCADE")
    genres: list[Genre] = Relationship(link_model=Shelving)


class Review(Kept, table=True):
    """Goes with its novel."""

    __tablename__ = "library_review"
    text: str = ""
    novel_id: UUID = Field(foreign_key="library_novel.id", ondelete="CASCADE")


class Wish(Kept, table=True):
    """Outlives its novel."""

    __tablename__ = "library_wish"
    novel_id: UUID | None = Field(default=None, foreign_key="library_novel.id", ondelete="SET NULL")


class Loan(Kept, table=True):
    """Keeps its novel from being deleted."""

    __tablename__ = "library_loan"
    novel_id: UUID = Field(foreign_key="library_novel.id")
