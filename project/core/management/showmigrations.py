"""List the revisions and which of them the database has."""

import asyncio

import click

from project.core.management import CommandError, command
from project.core.runtime import Runtime


@command(group="database")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--list/--plan", "-l/-p", expose_value=False, help="The one history is list and plan at once.")
def showmigrations(runtime: Runtime, apps: tuple[str, ...]) -> None:
    """List the revisions in order; [X] marks those the database has. APP shows those that touch its tables."""
    from project.core.db.migrations import MigrationError, connect, database_heads, read

    async def heads() -> set[str]:
        async with connect(runtime.database.url, begin="DEFERRED") as connection:
            return await connection.run_sync(database_heads)

    try:
        history = read()
        done = history.applied(asyncio.run(heads()))
    except MigrationError as error:
        raise CommandError(str(error), error.code) from error
    labels = [*(app.label for app in runtime.registry.apps), "core"]
    for label in set(apps).difference(labels):
        raise CommandError(f"There is no app {label!r}; the apps are {', '.join(labels)}.", 2)
    shown = [each for each in history.revisions.values() if not apps or {*apps} & {*each.apps}]
    for each in shown:
        click.echo(f" [{'X' if each.id in done else ' '}] {each.id}")
    if not shown:
        click.echo(" (no migrations)")
