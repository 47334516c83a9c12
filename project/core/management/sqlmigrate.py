"""Show the SQL of one revision."""

import asyncio

import click

from project.core.management import command
from project.core.management.migrate import labels_of
from project.core.runtime import Runtime


@command(epilog="Example: manage.py sqlmigrate 0003 --backwards")
@click.argument("words", nargs=-1, required=True, metavar="[APP] REVISION")
@click.option("--backwards", is_flag=True, help="Show the SQL that unapplies it.")
def sqlmigrate(runtime: Runtime, words: tuple[str, ...], backwards: bool) -> None:
    """Show the SQL of a revision; nothing is run.

    It is that of the site's kind of database. APP is not needed, as all apps share one history.
    """
    *apps, revision = words
    labels_of(runtime, apps)
    from project.core.db.migrations import statements

    for line in asyncio.run(statements(runtime.database.url, revision, backwards=backwards)):
        click.echo(line)
