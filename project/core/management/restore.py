"""A backup in the place of what the database holds."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from sqlalchemy import URL, inspect, make_url

from project.core.management import CommandError, Site, say
from project.core.management.backup import copy, run

WARNING = """\
This deletes ALL DATA of the database {database!r} and puts {file} in its place. The site and its workers must not run.
Type "yes" to go on, anything else to stop"""
# What newer code has made is in no older backup, and would hold on to the tables that are.
EMPTY = """
DO $$ BEGIN EXECUTE coalesce((
  SELECT 'DROP TABLE ' || string_agg(oid::regclass::text, ', ') || ' CASCADE' FROM pg_class
  WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
), 'SELECT 1'); END $$
"""


@click.command(epilog="Example: manage.py restore /var/backups/shop.dump --replace")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--replace", is_flag=True, help="Delete what the database holds.")
@click.option("--noinput", "--no-input", is_flag=True, help="Do not ask first.")
@click.pass_obj
def restore(site: Site, file: Path, replace: bool, noinput: bool) -> None:
    """Bring back what `backup` wrote into FILE: all of it, or the database stays as it was.

    Refused where the database has tables, unless --replace is said. The site and its workers must not run.
    """
    url = make_url(site.settings.database_url)
    if asyncio.run(_has_tables(url)):
        if not replace:
            raise CommandError(f"The database {url.database!r} has tables already: --replace deletes what they hold.")
        if not noinput and click.prompt(WARNING.format(database=url.database, file=file), default="no") != "yes":
            click.echo("Restore cancelled.")
            return
    if url.get_backend_name() == "sqlite":
        copy(str(file), url.database or "")
    else:
        with TemporaryDirectory() as folder:
            script = str(Path(folder, "restore.sql"))
            run("pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges", f"--file={script}", str(file))
            run("psql", "-qX1", "--set=ON_ERROR_STOP=1", f"--command={EMPTY}", f"--file={script}", on=url)
    say("Restored. Where the code is newer than the file: python3 manage.py migrate")


async def _has_tables(url: URL) -> bool:
    from project.core.db.migrations.applying import connect

    async with connect(url, begin="DEFERRED") as connection:
        return bool(await connection.run_sync(lambda known: inspect(known).get_table_names()))
