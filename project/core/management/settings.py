"""Show the effective settings, where each comes from, secrets masked."""

import os
from collections.abc import Iterator
from typing import Any

import click
from pydantic import SecretStr

from project.core.log import MASK, SECRET_NAME, redact
from project.core.management import Site


@click.command(epilog="Example: manage.py settings mail --changed")
@click.argument("search", default="")
@click.option("--changed", is_flag=True, help="Only those that differ from the defaults.")
@click.pass_obj
def settings(site: Site, search: str, changed: bool) -> None:
    """Show the effective settings and their source."""
    for name, value, _, source in effective(site):
        if search.upper() in name and not (changed and source == "default"):
            where = source if source == "default" else ("environment" if name in os.environ else ".env")
            click.echo(f"{name:<28} {value:<44} {where}")


def effective(site: Site) -> Iterator[tuple[str, str, str, str]]:
    """Each setting's name, value, default (secrets masked) and source, the apps' own after the site's."""
    own = [app.settings for app in site.runtime.registry.apps if app.settings]
    for group in (site.settings, *(site.runtime.conf(cls) for cls in own)):
        prefix = type(group).model_config.get("env_prefix") or ""
        for field, source in group.sources.items():
            info = type(group).model_fields[field]
            value = getattr(group, field)
            default = "" if info.is_required() else info.get_default(call_default_factory=True)
            default = value if value == default else default  # 5 and 5.0 are one
            yield prefix + field, _shown(field, value), _shown(field, default), source


def _shown(field: str, value: Any) -> str:
    if isinstance(value, SecretStr):
        return MASK if value.get_secret_value() else ""
    if SECRET_NAME.search(field) and value:
        return MASK
    return redact(", ".join(map(str, value)) if isinstance(value, list) else str(value))
