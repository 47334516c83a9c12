"""Demo data, for a site one can look at."""

from collections.abc import Sequence

import click

from project.core.management import CommandError, command, say
from project.core.management.migrate import labels_of
from project.core.runtime import Runtime


@command(epilog="Example: manage.py seed && manage.py runserver")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--force", is_flag=True, help="Even where DEBUG is off.")
async def seed(runtime: Runtime, apps: Sequence[str], force: bool) -> None:
    """Add demo data. What is there stays as it is, so a second time adds nothing."""
    labels_of(runtime, apps)
    if not (runtime.settings.DEBUG or force):
        raise CommandError("Demo data is for development, and DEBUG is off here: give --force if you mean it.")
    for app in runtime.registry.apps:
        if app.seed and (not apps or app.label in apps):
            async with runtime.unit_of_work() as db:
                counts = await app.seed(db, runtime)
            for what, count in counts.items():
                say(f"{app.label}: {what} added: {count:,}")
