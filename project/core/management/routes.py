"""List every address of the site, and who may call it."""

import click
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from project.core.management import Site


@click.command(epilog="Example: manage.py routes anyone")
@click.argument("search", default="")
@click.pass_obj
def routes(site: Site, search: str) -> None:
    """List every address: methods, path, name, who may."""
    from project.core.asgi import create_app
    from project.core.web.access import who_may

    rows = []
    for route in iter_route_contexts(create_app(site.settings).routes):
        methods = ",".join(sorted((route.methods or set()) - {"HEAD"}))
        kind = "mount" if isinstance(route.original_route, Mount) else "socket"
        who = "staff" if route.name == "admin" else who_may(route)
        rows.append((methods or kind, route.path or "/", route.name or "", who))
    for methods, path, name, who in sorted(rows, key=lambda row: row[1]):
        if search.lower() in f"{path} {name} {who}".lower():
            click.echo(f"{methods:<12} {path:<44} {name:<28} {who}")
