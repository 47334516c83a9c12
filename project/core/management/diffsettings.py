"""The settings that differ from the framework's defaults, as Django shows them."""

import click

from project.core.management import Site
from project.core.management.settings import effective


@click.command(epilog="Example: manage.py diffsettings --output unified")
@click.option("--all", "everything", is_flag=True, help="The defaults, too, marked with ###, or a space in unified.")
@click.option(
    "--output", type=click.Choice(["hash", "unified"]), default="hash", help="One line each, or - and + lines."
)
@click.pass_obj
def diffsettings(site: Site, everything: bool, output: str) -> None:
    """Show the settings that differ from the defaults.

    Secrets are masked; `manage.py settings` also tells where each comes from.
    """
    for name, value, default, _ in effective(site):
        if value == default:
            marks = {"hash": "### ", "unified": "  "}
            lines = [f"{marks[output]}{name} = {value}"] if everything else []
        else:
            lines = [f"{name} = {value}"] if output == "hash" else [f"- {name} = {default}", f"+ {name} = {value}"]
        for line in lines:
            click.echo(line)
