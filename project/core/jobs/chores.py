"""The framework's own jobs."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import JsonValue

from project.core.db.audit import AuditEntry
from project.core.db.effects import Effect
from project.core.db.models import now
from project.core.jobs import claiming
from project.core.jobs.declaring import cron
from project.core.jobs.mailing import deliver, mail_job
from project.core.jobs.running import Running
from project.core.mail.sent import SentMail


@cron(minute=7, unique=True)
async def sweep(running: Running) -> None:
    """Delete what nobody will ask for again."""
    settings = running.runtime.settings
    kept: list[tuple[Any, Any, float | None]] = [
        (Effect, Effect.created_at, 1),
        (SentMail, SentMail.sent_at, 90),
        (AuditEntry, AuditEntry.at, settings.AUDIT_KEPT_DAYS),
    ]
    async with running.unit_of_work() as db:
        await claiming.forget(db, done_days=settings.JOBS_KEPT_DAYS, dead_days=settings.DEAD_JOBS_KEPT_DAYS)
        for kind, moment, days in kept:
            if days is not None:
                await db.execute(sa.delete(kind).where(moment < now() - timedelta(days=days)))


@mail_job
async def send_mail(running: Running, template: str, to: str, context: dict[str, JsonValue]) -> None:
    """What mailing.send_mail enqueues."""
    await deliver(running, template, to, context)


CORE_JOBS = [sweep, send_mail]
