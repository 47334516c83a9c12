"""The log of sent mail: who, what and when; never what it said, nor a link in it."""

from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, col

from project.core.db.models import Model, now
from project.core.db.session import AsyncSession

KEPT = timedelta(days=90)


class SentMail(Model, table=True):
    """One mail that a job has sent; written with the job's end, so there is one row for each job."""

    __tablename__ = "core_sent_mail"

    to: str = Field(max_length=320)
    subject: str
    template: str = Field(max_length=200)
    job_id: UUID = Field(unique=True)
    message_id: str = Field(max_length=320)
    sent_at: datetime = Field(default_factory=now, index=True)


async def forget_sent_mail(db: AsyncSession) -> int:
    """Delete the rows of mail sent more than 90 days ago; returns how many."""
    return (await db.exec(sa.delete(SentMail).where(col(SentMail.sent_at) < now() - KEPT))).rowcount
