"""Tables of the fetcher: what somebody submits, and each URL of it."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from apps.fetcher.outcomes import Failure, Outcome
from project.core import Model, Timestamped


class Status(StrEnum):
    """Where a batch stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


ENDED = {Status.DONE, Status.CANCELLED}


class Batch(Timestamped, Model, table=True):
    """URLs that somebody submitted together, and how they want them fetched.

    `done` counts those with a result, of which `refused` answered with 400 or more and `failed` not at all.
    `arrivals` counts every result that ever came, those of an earlier try too.
    """

    title: str = Field(default="", max_length=120)
    owner_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    job_id: UUID | None = None
    status: Status = Status.QUEUED
    total: int
    done: int = 0
    refused: int = 0
    failed: int = 0
    arrivals: int = 0
    per_host: int
    delay: float = 0
    url_seconds: float
    retries: int = 2
    ended_at: datetime | None = None

    @property
    def ok(self) -> int:
        """How many have a good result."""
        return self.done - self.refused - self.failed

    def __str__(self) -> str:
        return self.title or f"{self.total} URLs"


class Fetch(Model, table=True):
    """One URL of a batch, and what became of it; all from `fetched_at` on is empty until then."""

    __table_args__ = (sa.UniqueConstraint("batch_id", "number"),)

    batch_id: UUID = Field(foreign_key="fetcher_batch.id", ondelete="CASCADE")
    number: int  # its place in the batch
    url: str
    fetched_at: datetime | None = None
    arrival: int | None = None  # its place among the results as they came
    outcome: Outcome | None = None
    final_url: str = ""
    status_code: int | None = None
    error: Failure | None = None
    redirects: list[str] = Field(default_factory=list, sa_type=sa.JSON)
    attempts: int = 0
    elapsed_ms: int = 0
    size: int = 0
    content_type: str = ""
    charset: str | None = None
    title: str = ""
    sha256: str = ""

    @property
    def message(self) -> str:
        """The error in words, or nothing."""
        return self.error.message if self.error else ""

    def __str__(self) -> str:
        return self.url


class Usage(Model, table=True):
    """How many URLs somebody had fetched on a day (UTC)."""

    __table_args__ = (sa.UniqueConstraint("owner_id", "day"),)

    owner_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE")
    day: date = Field(index=True)
    urls: int
