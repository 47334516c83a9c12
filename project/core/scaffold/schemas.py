"""What comes in and what goes out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import BaseModel, Field

from project.core import ReadSchema
from project.core.web.lists import ListQuery
from project.core.web.schemas import Partial

ThingId = Annotated[UUID, Path(description="The thing's id.")]
Sort = Literal["-created_at", "created_at", "title", "-title"]


class ThingCreate(BaseModel):
    """A new thing."""

    title: str = Field(title="Title", min_length=1, max_length=200)


class ThingUpdate(Partial, ThingCreate):
    """Changes to a thing; what is left out stays."""


class ThingRead(ReadSchema):
    """A thing, as the API shows it."""

    id: UUID = Field(description="Its id.")
    title: str = Field(description="Its title.")
    created_at: datetime = Field(description="When it was added.")
    updated_at: datetime = Field(description="When it was changed last.")


@dataclass
class ThingQuery(ListQuery):
    """Which things are wanted, and in what order."""

    sort: Annotated[Sort, Query(description="The order; a minus reverses it.")] = "-created_at"


Wanted = Annotated[ThingQuery, Depends()]
