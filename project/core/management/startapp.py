"""A new app that works: model, JSON API, pages, admin, tests and migration."""

from typing import Any

import click

from project.core.management import CommandError, command
from project.core.runtime import Runtime


@command(epilog="Example: manage.py startapp blog Post title:str body:text published:bool")
@click.argument("label")
@click.argument("model", default="")
@click.argument("fields", nargs=-1, metavar="[NAME:TYPE[?]]...")
@click.option("--public", is_flag=True, help="Everybody may read; without it people see what is theirs.")
@click.option("--api", is_flag=True, help="The JSON API alone.")
@click.option("--pages", is_flag=True, help="The pages alone.")
@click.option("--plural", default="", metavar="NAME", help="For a plural that cannot be guessed: people.")
def startapp(runtime: Runtime, label: str, model: str, fields: tuple[str, ...], plural: str, **flags: Any) -> None:
    """Write an app: startapp blog Post title:str body:text due:date?

    Types: str, text, int, float, bool, date, datetime, time, decimal:10,2, uuid, email, url, enum:draft,live and
    ref:app.Model. A question mark at the end lets a field be empty. What refers to accounts.User says whose a row is.
    """
    from project.core.management.scaffolding.copying import copied
    from project.core.management.scaffolding.plugging import plug_in
    from project.core.management.scaffolding.spec import read_spec

    if flags["api"] and flags["pages"]:
        raise CommandError("--api and --pages exclude each other: without them an app has both.", 2)
    if ":" in model:
        raise CommandError(f"Name the model before its fields: startapp {label} Post {model} …", 2)
    voices = tuple(voice for voice in ("api", "pages") if flags[voice]) or ("api", "pages")
    spec = read_spec(runtime, label, model, fields, public=flags["public"], voices=voices, plural_given=plural)
    files = copied(spec)
    migration = plug_in(label, files, runtime.settings)
    click.echo(f"Wrote {spec.model} into apps/{label}, templates/{label} and tests/{label}:")
    for path in [*files, migration]:
        click.echo(f"  {path}")
    start = {"api": "/api/v1", "pages": ""}
    addresses = [f"{start[voice]}/{label}/{spec.plural.replace('_', '-')}" for voice in voices]
    click.echo(f"Now `python3 manage.py migrate`, and look at {' and '.join(addresses)}.")
