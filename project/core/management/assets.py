"""Fetch the browser assets named in the lock."""

import click

from project.core.conf import ROOT


@click.command(epilog="Example: manage.py assets")
def assets() -> None:
    """Fetch the browser assets (htmx) into DATA_DIR."""
    from project.core.management import CommandError, environment

    try:
        environment.fetch_assets(ROOT)
    except environment.SetupStoppedError as stopped:
        raise CommandError(str(stopped)) from None
    click.echo("The browser assets are in place.")
