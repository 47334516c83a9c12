"""The API's schema, and whether it still keeps what it promised."""

import json
from pathlib import Path
from typing import Any

import click

from project.core.management import CommandError, Site, say


@click.command(epilog="Example: manage.py openapi -o openapi.json")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file instead of the screen.")
@click.option("--indent", type=click.IntRange(0, 8), default=2, show_default=True, help="Spaces to indent by.")
@click.option("--check", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="An older schema to keep.")
@click.pass_obj
def openapi(site: Site, output: Path | None, indent: int, check: Path | None) -> None:
    """Show the API's OpenAPI schema, or what it breaks.

    It is sorted, so that equal APIs give equal files. --check exits with 1 where clients of an older one would break.
    """
    from project.core.asgi import create_app

    schema = create_app(site.settings.model_copy(update={"API_DOCS": True})).openapi()
    if check:
        _compare(check, schema)
        return
    text = json.dumps(schema, indent=indent, sort_keys=True, ensure_ascii=False)
    if output:
        output.write_text(f"{text}\n", encoding="utf-8")
    else:
        click.echo(text)


def _compare(file: Path, schema: dict[str, Any]) -> None:
    from project.core.web.contract import breaking

    try:
        old = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CommandError(f"{file} is no JSON ({error}).") from None
    if not isinstance(old, dict) or "openapi" not in old:
        raise CommandError(f"{file} is no OpenAPI schema.")
    found = breaking(old, json.loads(json.dumps(schema)))
    for each in found:
        click.echo(each, err=True)
    if found:
        raise CommandError(f"{len(found)} of what {file} promised would break for its clients.")
    say(f"Nothing that {file} promised is broken.")
