"""The framework's own jobs."""

from project.core.db.effects import forget_effects
from project.core.jobs import claiming
from project.core.jobs.declaring import cron
from project.core.jobs.running import Running


@cron(minute=7, unique=True)
async def sweep(running: Running) -> None:
    """Delete what nobody will ask for again."""
    settings = running.runtime.settings
    async with running.unit_of_work() as db:
        await claiming.forget(db, done_days=settings.JOBS_KEPT_DAYS, dead_days=settings.DEAD_JOBS_KEPT_DAYS)
        await forget_effects(db)


CORE_JOBS = [sweep]
