"""Show the SQL of one revision."""

import asyncio

import click

from project.core.management import command
from project.core.runtime import Runtime


@command()
@click.argument("revision")
@click.option("--backwards", is_flag=True, help="Show the SQL that unapplies it.")
def sqlmigrate(runtime: Runtime, revision: str, backwards: bool) -> None:
    """Show the SQL of REVISION for the site's kind of database; nothing is run there."""
    from project.core.db.migrations import statements

    for line in asyncio.run(statements(runtime.database.url, revision, backwards=backwards)):
        click.echo(line)
