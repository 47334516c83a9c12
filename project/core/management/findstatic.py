"""Say where a static file comes from."""

import click

from project.core.management import command
from project.core.runtime import Runtime


@command(epilog="Example: manage.py findstatic core/ui.css")
@click.argument("names", nargs=-1, required=True, metavar="PATH...")
@click.option("--first", is_flag=True, help="Only the file that wins.")
def findstatic(runtime: Runtime, names: tuple[str, ...], first: bool) -> None:
    """Find the files behind static paths, the one that wins first."""
    from project.core.errors import nearest
    from project.core.web.static.sources import sources_of

    sources, missing = sources_of(runtime), False
    for name in names:
        if found := list(sources.all(name)):
            click.echo(f"Found {name!r} here:")
            for path in found[:1] if first else found:
                click.echo(f"  {path}")
        else:
            missing = True
            click.echo(f"There is no static file {name!r}.{nearest(name, list(sources.files()))}", err=True)
    if missing:
        raise SystemExit(1)
