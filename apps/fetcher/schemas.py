"""What comes in and what goes out."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import BaseModel, Field

from apps.fetcher.client import LONGEST_URL
from apps.fetcher.models import Status
from apps.fetcher.outcomes import Failure, Outcome
from project.core import ReadSchema
from project.core.web.lists import Filter, ListQuery

Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL)]
Urls = Annotated[
    list[Url],
    Query(min_length=1, max_length=20, description="What to fetch; name it again for each URL."),
]
BatchId = Annotated[UUID, Path(description="The batch's id.")]
MOST_URLS = 10_000


class Sort(StrEnum):
    """How results are ordered."""

    NUMBER = "number"
    ARRIVAL = "arrival"
    LATEST = "-arrival"
    FASTEST = "elapsed_ms"
    SLOWEST = "-elapsed_ms"
    SMALLEST = "size"
    LARGEST = "-size"
    STATUS = "status_code"
    URL = "url"


SearchResults = Annotated[str, Query(max_length=200, description="A part of the URL or of the page's title.")]
WithOutcome = Annotated[Outcome | None, Query(description="Only those with this outcome.")]
SortResults = Annotated[
    Sort, Query(description="The order: as submitted, as they came, or by a column; a minus reverses.")
]


@dataclass
class BatchQuery(ListQuery):
    """Which batches are wanted; the words stand in the title."""

    status: Annotated[Filter[Status], Query(description="Only those that stand so.")] = None


WantedBatches = Annotated[BatchQuery, Depends()]


class BatchCreate(BaseModel):
    """URLs to fetch in the background, and how."""

    title: str = Field(default="", title="Title", description="To find it again.", max_length=120)
    urls: list[Url] = Field(
        title="URLs", description="One per line; equal ones are fetched once.", min_length=1, max_length=MOST_URLS
    )
    per_host: int | None = Field(
        default=None,
        ge=1,
        le=1000,
        title="Requests to one host at once",
        description="Empty: as many as allowed.",
    )
    delay: float = Field(
        default=0, ge=0, le=60, title="Seconds between requests to one host", description="With it they go one by one."
    )
    url_seconds: float | None = Field(
        default=None, gt=0, le=300, title="Seconds for one URL", description="Empty: as long as allowed."
    )
    retries: int = Field(
        default=2, ge=0, le=5, title="Repetitions", description="After a lost connection, or an answer that says later."
    )


class BatchRead(ReadSchema):
    """A batch, as the API shows it."""

    id: UUID = Field(description="The batch's id.")
    title: str = Field(description="Its title; may be empty.")
    status: Status = Field(description="Where it stands.")
    total: int = Field(description="How many URLs it has.")
    done: int = Field(description="How many of them have a result.")
    ok: int = Field(description="How many of those are answers below 400.")
    refused: int = Field(description="How many of those are answers of 400 or more.")
    failed: int = Field(description="How many of those are failures.")
    per_host: int = Field(description="Requests to one host at once.")
    delay: float = Field(description="Seconds between requests to one host.")
    url_seconds: float = Field(description="Seconds that one URL may take.")
    retries: int = Field(description="How often a URL is tried again.")
    created_at: datetime = Field(description="When it was submitted.")
    ended_at: datetime | None = Field(description="When the last result came, or it was stopped.")


class FetchRead(ReadSchema):
    """What became of a URL. With an error the rest is what was known by then."""

    url: str = Field(description="The URL as it was given.")
    outcome: Outcome = Field(description="Answered below 400, answered with more, or failed.")
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
