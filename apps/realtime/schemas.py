"""What comes in and what goes out."""

import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from apps.accounts import Email
from apps.realtime.models import BIGGEST
from project.core import ReadSchema

LONGEST = 4000
TAKEN = {"new"}  # addresses of pages


def _speakable(text: str) -> str:
    # Cc are the control characters, Cs the halves of a character: no database takes all of them, no eye sees one.
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\t" for letter in text):
        raise ValueError("This holds characters that cannot be shown. Take them out.")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise ValueError("This has to be one line.")
    return _speakable(text)


def _free(slug: str) -> str:
    if slug in TAKEN:
        raise ValueError("This address is taken by a page of the site.")
    return slug


def slug_of(title: str) -> str:
    """`Über uns!` → `uber-uns`; empty when nothing of the title can stand in an address."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-")


Id = Annotated[int, Query(ge=0, le=BIGGEST)]
Slug = Annotated[str, Path(max_length=60, description="The room's short name.")]
Search = Annotated[str, Query(max_length=200, description="A part of the title.")]
Mine = Annotated[bool, Query(description="Only rooms that you belong to.")]
After = Annotated[Id, Query(description="Only messages after the one with this id.")]
Before = Annotated[Id | None, Query(description="Only messages before the one with this id.")]


class Sort(StrEnum):
    """How messages are ordered."""

    OLDEST = "id"
    LATEST = "-id"


Order = Annotated[Sort, Query(description="The order: the oldest first, or with a minus the latest.")]


class RoomCreate(BaseModel):
    """A new room."""

    title: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_one_line)] = Field(
        title="Title", min_length=1, max_length=120
    )
    slug: Annotated[str, AfterValidator(_free)] = Field(
        default="",
        title="Short name",
        description="For its address: small letters, digits and hyphens. Empty: made from the title.",
        max_length=60,
        pattern=r"^([a-z0-9]+(-[a-z0-9]+)*)?$",
    )
    private: bool = Field(default=False, title="Private", description="Only those whom you invite find it.")


class RoomRead(ReadSchema):
    """A room, as the API shows it."""

    slug: str = Field(description="Its short name, which stands in addresses.")
    title: str = Field(description="Its title.")
    private: bool = Field(description="Whether only members find it.")
    joined: bool = Field(description="Whether you belong to it.")
    created_at: datetime = Field(description="When it was opened.")


class MessageCreate(BaseModel):
    """Something to say."""

    body: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_speakable)] = Field(
        title="Message", min_length=1, max_length=LONGEST, json_schema_extra={"widget": "textarea"}
    )


class Invitation(BaseModel):
    """Somebody to let in."""

    email: Email


class Person(ReadSchema):
    """Somebody, as others see them."""

    id: UUID = Field(description="The person's id.")
    name: str = Field(description="Their name; a made-up one where they gave none.")


class MessageRead(ReadSchema):
    """A message, as the API shows it."""

    id: int = Field(description="Its id: it grows within a room, in the order in which messages were saved.")
    room: str = Field(description="The room's short name.")
    author: Person = Field(description="Who said it.")
    body: str = Field(description="What was said: plain text.")
    created_at: datetime = Field(description="When.")


class Presence(BaseModel):
    """Who is in a room right now."""

    people: list[Person] = Field(description="By name, 100 at most; each once, however many windows they have open.")
    total: int = Field(description="How many there are.")


def name_of(user_id: UUID, name: str) -> str:
    """What others read: the name, never the e-mail."""
    return name or f"Guest {user_id.hex[-4:]}"
