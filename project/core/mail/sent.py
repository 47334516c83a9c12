"""The log of sent mail: who, what and when; never what it said, nor a link in it."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from project.core.db.models import Model, now


class SentMail(Model, table=True):
    """One mail that a job has sent; written with the job's end, so there is one row for each job."""

    __tablename__ = "core_sent_mail"

    to: str = Field(max_length=320)
    subject: str
    template: str = Field(max_length=200)
    job_id: UUID = Field(unique=True)
    message_id: str = Field(max_length=320)
    sent_at: datetime = Field(default_factory=now, index=True)
