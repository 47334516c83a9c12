"""Bring the database up to date, or back to a revision."""

import asyncio
import sys
from functools import partial

import click

from project.core.management import CommandError, command
from project.core.runtime import Runtime


@command(group="database")
@click.argument("app", required=False)
@click.argument("revision", required=False)
@click.option("--plan", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--check", is_flag=True, help="Exit with 1 if revisions wait to be applied, and do nothing.")
@click.option("--fake", is_flag=True, help="Note the revisions as applied without running them.")
@click.option("--noinput", "--no-input", is_flag=True, expose_value=False, help="Nothing is asked anyway.")
def migrate(runtime: Runtime, app: str | None, revision: str | None, plan: bool, check: bool, fake: bool) -> None:
    """Apply the revisions the database lacks, or go to REVISION (0002, a whole name, or zero)."""
    from project.core.db.migrations import MigrationError, upgrade

    try:
        target = _target([*(each.label for each in runtime.registry.apps), "core"], app, revision)
        if plan or check:
            asyncio.run(_look(runtime, target, check))
            return
        click.echo("Running migrations:")
        report = partial(click.echo, nl=False)
        if not asyncio.run(upgrade(runtime.database, target, fake=fake, report=report)):
            click.echo("  No migrations to apply.")
    except MigrationError as error:
        raise CommandError(str(error), error.code) from error


def _target(labels: list[str], app: str | None, revision: str | None) -> str:
    if app in labels and revision:
        raise CommandError(
            f"All apps share one history, so {app} has no state of its own: "
            f"`python3 manage.py migrate {revision}` takes the whole site there.",
            2,
        )
    if app in labels:
        click.echo("All apps share one history: all of it is applied.")
        return "head"
    if revision:
        raise CommandError(f"There is no app {app!r}; the apps are {', '.join(labels)}.", 2)
    return app or "head"


async def _look(runtime: Runtime, target: str, check: bool) -> None:
    from project.core.db.migrations import connect, database_heads, read

    async with connect(runtime.database.url, begin="DEFERRED") as connection:
        heads = await connection.run_sync(database_heads)
    history = read()
    steps = history.plan(history.applied(heads), history.resolve(target))
    click.echo("Planned operations:")
    for revision, backwards in steps:
        click.echo(f"  {'Unapply' if backwards else 'Apply'} {revision.id}")
    if not steps:
        click.echo("  No planned migration operations.")
    if steps and check:
        sys.exit(1)
