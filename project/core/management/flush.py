"""Empty the database."""

import click

from project.core.management import command, say
from project.core.runtime import Runtime

WARNING = """\
This deletes ALL DATA of the database {database!r}: every person, every row, what migrations put there, too.
The tables stay, and so does the note of which migrations they had.
Type "yes" to go on, anything else to stop"""


@command(epilog="Example: manage.py flush --noinput")
@click.option("--noinput", "--no-input", is_flag=True, help="Do not ask first.")
async def flush(runtime: Runtime, noinput: bool) -> None:
    """Delete all rows; the tables stay."""
    import sqlalchemy as sa

    from project.core.db.emptying import statements
    from project.core.db.fixtures.dumping import be_patient
    from project.core.db.fixtures.kinds import all_kinds

    asked = WARNING.format(database=runtime.database.url.database)
    if not noinput and click.prompt(asked, default="no") != "yes":
        click.echo("Flush cancelled.")
        return
    async with runtime.unit_of_work() as db:
        connection = await db.connection()
        await be_patient(connection)
        tables = [kind.table for kind in all_kinds(runtime.registry.apps).values()]
        for statement in await statements(connection, tables):
            await connection.execute(sa.text(statement))
    say("All rows are gone.")
