"""Show the effective settings, where each comes from, secrets masked."""

import os

import click
from pydantic import SecretStr

from project.core.conf import EnvSettings
from project.core.log import MASK, SECRET_NAME, redact
from project.core.management import Site


@click.command()
@click.argument("search", default="")
@click.option("--changed", is_flag=True, help="Only those that differ from the defaults.")
@click.pass_obj
def settings(site: Site, search: str, changed: bool) -> None:
    """Show the effective settings and their source."""
    own = [app.settings for app in site.runtime.registry.apps if app.settings]
    for group in (site.settings, *(site.runtime.conf(cls) for cls in own)):
        prefix = type(group).model_config.get("env_prefix") or ""
        for field, source in group.sources.items():
            name = prefix + field
            if search.upper() in name and not (changed and source == "default"):
                where = source if source == "default" else ("environment" if name in os.environ else ".env")
                click.echo(f"{name:<28} {_shown(group, field):<44} {where}")


def _shown(group: EnvSettings, field: str) -> str:
    value = getattr(group, field)
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if SECRET_NAME.search(field) and value:
        return MASK
    return redact(", ".join(map(str, value)) if isinstance(value, list) else str(value))
