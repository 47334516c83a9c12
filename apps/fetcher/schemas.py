"""What comes in and what goes out."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path, Query
from pydantic import BaseModel, Field

from apps.fetcher.client import LONGEST_URL, Failure
from apps.fetcher.models import Status
from project.core import ReadSchema

Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
Urls = Annotated[
    list[Url],
    Query(min_length=1, max_length=20, description="What to fetch; name it again for each URL."),
]


BatchId = Annotated[UUID, Path(description="The batch's id.")]
MOST_URLS = 10_000


class BatchCreate(BaseModel):
    """URLs to fetch in the background."""

    title: str = Field(default="", title="Title", description="To find it again.", max_length=120)
    urls: list[Url] = Field(
        title="URLs", description="One per line; equal ones are fetched once.", min_length=1, max_length=MOST_URLS
    )


class BatchRead(ReadSchema):
    """A batch, as the API shows it."""

    id: UUID = Field(description="The batch's id.")
    title: str = Field(description="Its title; may be empty.")
    status: Status = Field(description="Where it stands.")
    total: int = Field(description="How many URLs it has.")
    done: int = Field(description="How many of them have a result.")
    failed: int = Field(description="How many of those are failures.")
    created_at: datetime = Field(description="When it was submitted.")


class FetchRead(ReadSchema):
    """What became of a URL. With an error the rest is what was known by then."""

    url: str = Field(description="The URL as it was given.")
    final_url: str = Field(description="Where the redirects ended.")
    status_code: int | None = Field(description="The status of the answer.")
    error: Failure | None = Field(description="Why there is no result.")
    message: str = Field(description="The error in words.")
    redirects: list[str] = Field(description="The addresses that redirected, in order.")
    attempts: int = Field(description="How often it was tried.")
    elapsed_ms: int = Field(description="Milliseconds it took in all.")
    size: int = Field(description="The body's length in bytes, decoded.")
    content_type: str = Field(description="The body's type.")
    charset: str | None = Field(description="The charset of a text.")
    title: str = Field(description="The title of a page.")
    sha256: str = Field(description="The SHA-256 of the decoded body, in hexadecimal.")


class FetchResults(BaseModel):
    """A result for each URL, in the order of the URLs."""

    results: list[FetchRead] = Field(description="One for each URL, in their order.")
