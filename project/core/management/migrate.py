"""Bring the database up to date, or back to a revision."""

import asyncio
import sys
from collections.abc import Collection
from functools import partial

import click

from project.core.management import CommandError, command, say
from project.core.runtime import Runtime


def labels_of(runtime: Runtime, wanted: Collection[str] = ()) -> list[str]:
    """The labels of all apps and the core's; raises CommandError for a wanted one that is not there."""
    labels = [*(app.label for app in runtime.registry.apps), "core"]
    for label in set(wanted).difference(labels):
        raise CommandError(f"There is no app {label!r}; the apps are {', '.join(labels)}.", 2)
    return labels


@command(epilog="Example: manage.py migrate 0003 --plan")
@click.argument("app", required=False)
@click.argument("revision", required=False)
@click.option("--plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--check", is_flag=True, help="Exit with 1 if revisions wait to be applied, and do nothing.")
@click.option("--fake", is_flag=True, help="Note the revisions as applied without running them.")
@click.option("--noinput", "--no-input", is_flag=True, expose_value=False, help="Nothing is asked anyway.")
def migrate(runtime: Runtime, app: str | None, revision: str | None, plan: bool, check: bool, fake: bool) -> None:
    """Apply the revisions the database lacks, or go to REVISION (0002, a whole name, or zero)."""
    from project.core.db.migrations import migrate_database

    target, url = _target(runtime, app, revision), runtime.database.url
    if plan or check:
        asyncio.run(_look(runtime, target, check))
        return
    say("Running migrations:")
    if not asyncio.run(migrate_database(url, target, fake=fake, report=partial(say, nl=False))):
        say("  No migrations to apply.")


def _target(runtime: Runtime, app: str | None, revision: str | None) -> str:
    if revision:
        labels_of(runtime, [app or ""])
        way = f"`python3 manage.py migrate {revision}` takes the whole site there."
        raise CommandError(f"All apps share one history, so {app} has no state of its own: {way}", 2)
    if app in labels_of(runtime):
        say("All apps share one history: all of it is applied.")
        return "head"
    return app or "head"


async def _look(runtime: Runtime, target: str, check: bool) -> None:
    from project.core.db.migrations import applied, read

    history = read()
    steps = history.plan(await applied(runtime.database.url), history.resolve(target))
    click.echo("Planned operations:")
    for revision, backwards in steps:
        click.echo(f"  {'Unapply' if backwards else 'Apply'} {revision.id}")
    if not steps:
        click.echo("  No planned migration operations.")
    if steps and check:
        sys.exit(1)
