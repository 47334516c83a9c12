"""Delete what nobody will ask for again, as the hourly jobs do."""

import click

from project.core.management import command, say
from project.core.runtime import Runtime


@command(epilog="Example: manage.py cleanup --dry-run")
@click.option("--dry-run", "-n", is_flag=True, help="Only say how much it would be.")
async def cleanup(runtime: Runtime, dry_run: bool) -> None:
    """Delete what has ended: sessions, tokens, jobs, keys. Workers do the same every hour.

    Django's name for it, clearsessions, works, too.
    """
    from project.core.jobs.chores import forget

    chores = {"core": forget} | {app.label: app.cleanup for app in runtime.registry.apps if app.cleanup}
    for label, chore in chores.items():
        async with runtime.unit_of_work() as db:
            counts = await chore(db, runtime)
            if dry_run:
                await db.rollback()
        for what, count in counts.items():
            say(f"{label}: {what} {'to delete' if dry_run else 'deleted'}: {count:,}")
