"""The framework's own jobs."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from pydantic import JsonValue

from project.core.db.audit import AuditEntry
from project.core.db.effects import Effect
from project.core.db.models import now
from project.core.db.session import AsyncSession
from project.core.jobs import claiming
from project.core.jobs.declaring import cron
from project.core.jobs.mailing import deliver, mail_job
from project.core.jobs.running import Running
from project.core.live import notices
from project.core.live.notices import Notice
from project.core.mail.sent import SentMail

if TYPE_CHECKING:
    from project.core.runtime import Runtime


async def forget(db: AsyncSession, runtime: "Runtime") -> dict[str, int]:
    """Delete jobs that ended long ago, keys of effects that count no more, old notes of mail and of changes."""
    settings = runtime.settings
    jobs = await claiming.forget(db, done_days=settings.JOBS_KEPT_DAYS, dead_days=settings.DEAD_JOBS_KEPT_DAYS)
    kept: dict[str, tuple[Any, Any, float | None]] = {
        "keys": (Effect, Effect.created_at, 1),
        "notices": (Notice, Notice.created_at, notices.KEPT.days),
        "notes of sent mail": (SentMail, SentMail.sent_at, 90),
        "notes of changes": (AuditEntry, AuditEntry.at, settings.AUDIT_KEPT_DAYS),
    }
    return {"jobs": jobs} | {
        name: (await db.exec(sa.delete(kind).where(moment < now() - timedelta(days=days)))).rowcount
        for name, (kind, moment, days) in kept.items()
        if days is not None
    }


@cron(minute=7, unique=True)
async def sweep(running: Running) -> None:
    """Delete what nobody will ask for again."""
    async with running.unit_of_work() as db:
        await forget(db, running.runtime)


@mail_job
async def send_mail(running: Running, template: str, to: str, context: dict[str, JsonValue]) -> None:
    """What mailing.send_mail enqueues."""
    await deliver(running, template, to, context)


CORE_JOBS = [sweep, send_mail]
