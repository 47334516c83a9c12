"""List the revisions and which of them the database has."""

import asyncio

import click

from project.core.management import command
from project.core.management.migrate import labels_of
from project.core.runtime import Runtime


@command(epilog="Example: manage.py showmigrations accounts")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--list/--plan", "-l/-p", expose_value=False, help="The one history is list and plan at once.")
def showmigrations(runtime: Runtime, apps: tuple[str, ...]) -> None:
    """List the revisions in order; [X] marks those the database has. APP shows those that touch its tables."""
    from project.core.db.migrations import applied, read

    labels_of(runtime, apps)
    done = asyncio.run(applied(runtime.database.url))
    shown = [each.id for each in read().revisions.values() if not apps or {*apps} & {*each.apps}]
    for id in shown:
        click.echo(f" [{'X' if id in done else ' '}] {id}")
    if not shown:
        click.echo(" (no migrations)")
