"""The whole database in one file, made while the site runs."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import click
from sqlalchemy.engine import URL, make_url

from project.core.log import redact
from project.core.management import CommandError, Site, say
from project.core.management.dbshell import connecting

TRIES, PATIENCE = 10, 5.0  # to begin where somebody else writes; seconds that each try waits
OLDER = ("server version mismatch", "unsupported version")
MANNERS = {"LC_ALL": "C", "PGOPTIONS": "-c lock_timeout=10s -c client_min_messages=warning"}


@click.command(epilog="Example: manage.py backup /var/backups/shop.dump")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def backup(site: Site, file: Path) -> None:
    """Copy the whole database, as it is at one moment, into FILE; the site goes on.

    A copy of SQLite's file, checked, or pg_dump's custom format. It holds everything, and only you can read it.
    """
    url = make_url(site.settings.database_url)
    with in_place_of(file) as part:
        if url.get_backend_name() == "sqlite":
            copy(url.database or "", str(part))
            with closing(sqlite3.connect(part)) as made:
                made.execute("PRAGMA journal_mode=DELETE")  # one file, wherever it is read
        else:
            run("pg_dump", "--format=custom", f"--file={part}", on=url)
    say(f"{file} has {file.stat().st_size:,} bytes.")


@contextmanager
def in_place_of(path: Path) -> Iterator[Path]:
    """A file for the owner's eyes only, which takes this place when it is whole; raises CommandError."""
    part = path.with_name(f".part-{path.name}")
    try:
        part.unlink(missing_ok=True)
        part.touch(mode=0o600, exist_ok=False)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        raise CommandError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        part.unlink(missing_ok=True)


def copy(source: str, target: str) -> None:
    """Put one SQLite database, if it is whole, in the place of another: all of it, or nothing; raises CommandError."""
    tries = count(1)

    def wait(*_: int) -> None:
        if next(tries) > TRIES:
            raise sqlite3.OperationalError(f"somebody keeps {target} busy")

    try:
        with closing(sqlite3.connect(f"file:{quote(source)}?mode=ro", uri=True)) as old:
            if found := [row[0] for row in old.execute("PRAGMA quick_check(1)") if row[0] != "ok"]:
                raise sqlite3.DatabaseError(found[0])
            with closing(sqlite3.connect(target, PATIENCE)) as new:
                old.backup(new, progress=wait)
    except sqlite3.Error as error:
        raise CommandError(f"{source} cannot be copied ({error}).") from error


def run(program: str, *words: str, on: URL | None = None) -> None:
    """Run one of PostgreSQL's programs, perhaps on a database; raises CommandError with the first line it says."""
    connection, environment = connecting(on) if on else ([], {})
    try:
        done = subprocess.run(
            [program, *connection, *words], env=os.environ | environment | MANNERS, capture_output=True, text=True
        )
    except FileNotFoundError:
        advice = "on Debian it comes with postgresql-client"
        raise CommandError(f"{program} is not installed here, or not on the PATH: {advice}.") from None
    if done.returncode:
        why = redact(done.stderr.strip().partition("\n")[0])
        if any(each in done.stderr for each in OLDER):
            why = f"it is too old ({why}): install the postgresql-client of the server's version"
        raise CommandError(f"{program} failed, and nothing was changed: {why}")
