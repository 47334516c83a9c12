"""The development server: migrates an empty SQLite, says where everything is, reloads as you edit."""

import asyncio
import os
import socket
import sqlite3
from pathlib import Path

import click

from project.core.conf import ROOT, Settings
from project.core.management import CommandError, Site

GRACE_SECONDS = 1


@click.command(epilog="Example: manage.py runserver 0.0.0.0:8001")
@click.argument("address", default="8000", metavar="[[ADDR:]PORT]")
@click.option("--ipv6", "-6", is_flag=True, help="On ::1, where only a port is given.")
@click.option("--noreload", is_flag=True, help="Do not restart, nor reload the browser, when a file changes.")
@click.pass_obj
def runserver(site: Site, address: str, ipv6: bool, noreload: bool) -> None:
    """Serve the site on this machine and reload as you edit."""
    host, port = parse_address(address, "::1" if ipv6 else "127.0.0.1")
    settings = site.settings
    _refuse_taken(host, port)
    asyncio.run(make_first_tables(settings))
    base = _base(host, port)
    click.echo(_banner(settings, base, reload=not noreload))
    if "SITE_URL" not in settings.model_fields_set:
        os.environ["SITE_URL"] = base  # links in mails lead to this port
    if settings.LIVE_RELOAD is None and not noreload:
        os.environ["LIVE_RELOAD"] = "true"
    _serve(host, port, reload=not noreload)


async def make_first_tables(settings: Settings) -> None:
    """Migrate an empty SQLite, so that a newcomer's first command works; leaves any other database alone.

    Raises CommandError when DATABASE_URL's file is not a SQLite database.
    """
    if _is_empty_sqlite(settings):
        from project.core.db.migrations import migrate_database

        click.echo("The database is empty: creating its tables.")
        await migrate_database(settings.database_url)


def parse_address(address: str, usual: str = "127.0.0.1") -> tuple[str, int]:
    """Host and port of `8000` or `127.0.0.1:8000`; raises CommandError when it is neither."""
    host, _, port = address.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise CommandError(f"{address!r} is not an address: write 8000 or 127.0.0.1:8000.", 2)
    return host.strip("[]") or usual, int(port)


def _refuse_taken(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            advice = f"try another port: python3 manage.py runserver {port + 1}"
            raise CommandError(f"{host}:{port} cannot be used ({error.strerror}); {advice}") from None


def _is_empty_sqlite(settings: Settings) -> bool:
    scheme, _, path = settings.database_url.partition(":///")
    if not scheme.startswith("sqlite"):
        return False
    if not Path(path).exists():
        return True
    connection = sqlite3.connect(path)
    try:
        count: int = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.DatabaseError as error:
        raise CommandError(f"{path} is not a SQLite database ({error}); move it away or fix DATABASE_URL.") from None
    finally:
        connection.close()
    return count == 0


def _base(host: str, port: int) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - a link leads to one address
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _banner(settings: Settings, base: str, *, reload: bool) -> str:
    lines = [
        f"\n{settings.SITE_NAME} is starting.\n",
        f"  Site      {base}/",
        f"  Admin     {base}/admin/",
        *([f"  API docs  {base}/api/docs"] if settings.docs_open else []),
        *([f"  Mail      {base}/_dev/mail"] if settings.DEBUG and not settings.MAIL_URL.get_secret_value() else []),
        *(
            ["  Jobs      wait for `python3 manage.py worker`, since REDIS_URL is set"]
            if settings.REDIS_URL.get_secret_value()
            else []
        ),
        "\n  Next: python3 manage.py createsuperuser   (an account for the admin)",
        f"        {'Reloads as you edit; ' if reload else ''}Ctrl-C stops.\n",
    ]
    return "\n".join(lines)


def _serve(host: str, port: int, *, reload: bool) -> None:
    import uvicorn

    from project.core.web.server import AS_HERE, serve

    folders = [str(ROOT / name) for name in ("project", "apps", "migrations") if (ROOT / name).is_dir()]
    config = uvicorn.Config(
        "project.asgi:app",
        host=host,
        port=port,
        reload=reload,
        reload_dirs=folders if reload else None,
        **AS_HERE,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    serve(config)
