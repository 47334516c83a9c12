"""Tables of the fetcher: what somebody submits, and each URL of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from apps.fetcher.client import Failure
from project.core import Model, Timestamped


class Status(StrEnum):
    """Where a batch stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


ENDED = {Status.DONE, Status.CANCELLED}


class Batch(Timestamped, Model, table=True):
    """URLs that somebody submitted together. `done` counts those with a result, `failed` those without a good one."""

    title: str = Field(default="", max_length=120)
    owner_id: UUID = Field(foreign_key="accounts_user.id", ondelete="CASCADE", index=True)
    job_id: UUID | None = None
    status: Status = Status.QUEUED
    total: int
    done: int = 0
    failed: int = 0


class Fetch(Model, table=True):
    """One URL of a batch, and what became of it; `fetched_at` is empty until then."""

    batch_id: UUID = Field(foreign_key="fetcher_batch.id", ondelete="CASCADE", index=True)
    number: int  # its place in the batch
    url: str
    fetched_at: datetime | None = None
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
