"""The database's own client, on the site's database."""

import os
import signal
import subprocess
from collections.abc import Sequence

import click
from sqlalchemy.engine import URL, make_url

from project.core.management import CommandError, Site

READ_ONLY = "-c default_transaction_read_only=on"
SSL = {"ssl": "PGSSLMODE", **{name: f"PG{name.upper()}" for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")}}


@click.command(epilog="Example: manage.py dbshell -- -c 'SELECT count(*) FROM accounts_user'")
@click.argument("parameters", nargs=-1, metavar="[-- ARGS...]")
@click.option("--read-only", is_flag=True, help="Refuse whatever would change something.")
@click.pass_obj
def dbshell(site: Site, parameters: Sequence[str], read_only: bool) -> None:
    """Open psql or sqlite3 on the site's database.

    ARGS are the client's own, and its exit code is this command's. The password goes by its environment.
    """
    url = make_url(site.settings.database_url)
    words, environment = (_sqlite3 if url.get_backend_name() == "sqlite" else _psql)(url, parameters, read_only)
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the client: it stops a query
    try:
        done = subprocess.run(words, env=os.environ | environment, check=False)
    except FileNotFoundError:
        raise CommandError(f"{words[0]} is not installed here, or not on the PATH.") from None
    finally:
        signal.signal(signal.SIGINT, usual)
    raise SystemExit(done.returncode)


def _sqlite3(url: URL, parameters: Sequence[str], read_only: bool) -> tuple[list[str], dict[str, str]]:
    return ["sqlite3", *(["-readonly"] if read_only else []), url.database or "", *parameters], {}


def _psql(url: URL, parameters: Sequence[str], read_only: bool) -> tuple[list[str], dict[str, str]]:
    words, environment = connecting(url)
    if read_only:
        environment["PGOPTIONS"] = f"{os.environ.get('PGOPTIONS', '')} {READ_ONLY}".strip()
    return ["psql", *words, *parameters], environment


def connecting(url: URL) -> tuple[list[str], dict[str, str]]:
    """How PostgreSQL's programs connect: words, and what must not be among them, as all users of a machine see those.

    The second is for the program's environment: password and TLS.
    """
    flags = {"-U": url.username, "-h": url.host or url.query.get("host"), "-p": url.port, "-d": url.database}
    words = [str(word) for flag, value in flags.items() if value for word in (flag, value)]
    environment = {SSL[name]: str(value) for name, value in url.query.items() if name in SSL}
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    return words, environment
