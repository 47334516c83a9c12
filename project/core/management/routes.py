"""List every address of the site."""

import click
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from project.core.management import Site


@click.command()
@click.argument("search", default="")
@click.pass_obj
def routes(site: Site, search: str) -> None:
    """List every address: methods, path, name."""
    from project.core.asgi import create_app

    rows = []
    for route in iter_route_contexts(create_app(site.settings).routes):
        methods = ",".join(sorted((route.methods or set()) - {"HEAD"}))
        kind = "mount" if isinstance(route.original_route, Mount) else "socket"
        rows.append((methods or kind, route.path or "/", route.name or ""))
    for methods, path, name in sorted(rows, key=lambda row: row[1]):
        if search.lower() in f"{path} {name}".lower():
            click.echo(f"{methods:<12} {path:<44} {name}")
