"""The framework's own jobs."""

from typing import TYPE_CHECKING

from pydantic import JsonValue

from project.core.db.effects import forget_effects
from project.core.db.session import AsyncSession
from project.core.jobs import claiming
from project.core.jobs.declaring import cron
from project.core.jobs.mailing import deliver, mail_job
from project.core.jobs.running import Running
from project.core.mail.sent import forget_sent_mail

if TYPE_CHECKING:
    from project.core.runtime import Runtime


async def forget(db: AsyncSession, runtime: "Runtime") -> dict[str, int]:
    """Delete jobs that ended long ago, keys of effects that count no more, and old notes of sent mail."""
    settings = runtime.settings
    return {
        "jobs": await claiming.forget(db, done_days=settings.JOBS_KEPT_DAYS, dead_days=settings.DEAD_JOBS_KEPT_DAYS),
        "keys": await forget_effects(db),
        "notes of sent mail": await forget_sent_mail(db),
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
