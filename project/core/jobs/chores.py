"""The framework's own jobs."""

from pydantic import JsonValue

from project.core.db.effects import forget_effects
from project.core.jobs import claiming
from project.core.jobs.declaring import cron
from project.core.jobs.mailing import deliver, mail_job
from project.core.jobs.running import Running
from project.core.live import notices
from project.core.mail.sent import forget_sent_mail


@cron(minute=7, unique=True)
async def sweep(running: Running) -> None:
    """Delete what nobody will ask for again."""
    settings = running.runtime.settings
    async with running.unit_of_work() as db:
        await claiming.forget(db, done_days=settings.JOBS_KEPT_DAYS, dead_days=settings.DEAD_JOBS_KEPT_DAYS)
        await forget_effects(db)
        await forget_sent_mail(db)
        await notices.forget_old(db)


@mail_job
async def send_mail(running: Running, template: str, to: str, context: dict[str, JsonValue]) -> None:
    """What mailing.send_mail enqueues."""
    await deliver(running, template, to, context)


CORE_JOBS = [sweep, send_mail]
