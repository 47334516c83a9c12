"""Show what flush would run."""

import click

from project.core.management import command
from project.core.runtime import Runtime


@command(epilog="Example: manage.py sqlflush | less")
async def sqlflush(runtime: Runtime) -> None:
    """Show the SQL of flush, and run nothing."""
    from project.core.db.emptying import statements
    from project.core.db.fixtures.kinds import all_kinds

    tables = [kind.table for kind in all_kinds(runtime.registry.apps).values()]
    async with runtime.unit_of_work(write=False) as db:
        for line in ["BEGIN", *await statements(await db.connection(), tables), "COMMIT"]:
            click.echo(f"{line};")
