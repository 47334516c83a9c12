"""Load fixtures, all or nothing."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from project.core.management import CommandError, command, progress, say
from project.core.runtime import Runtime

ENDINGS = ["", *(f".{layout}{packed}" for layout in ("json", "jsonl") for packed in ("", ".gz", ".bz2", ".xz"))]


@command(epilog="Example: manage.py loaddata people.json.gz")
@click.argument("fixtures", nargs=-1, required=True, metavar="FIXTURE...")
@click.option("--app", help="Look into this app's folder fixtures only.")
@click.option("--ignorenonexistent", "-i", is_flag=True, help="Pass over fields and models that are no more.")
@click.option("--exclude", "-e", multiple=True, metavar="APP[.MODEL]", help="Pass over these rows; may be repeated.")
@click.option("--format", type=click.Choice(["json", "jsonl"]), expose_value=False, help="Seen without being told.")
async def loaddata(
    runtime: Runtime, fixtures: Sequence[str], app: str | None, ignorenonexistent: bool, exclude: Sequence[str]
) -> None:
    """Load rows, all or nothing.

    FIXTURE is a file, a name in an app's folder fixtures, or - for standard input. Rows that are there already are
    changed. One bad row, and nothing is loaded.
    """
    from project.core.db.fixtures.kinds import all_kinds, chosen
    from project.core.db.fixtures.loading import Loader

    kinds = all_kinds(runtime.registry.apps)
    passed = {kind.name for kind in chosen(kinds, exclude)}
    paths = [path for name in fixtures for path in _found(runtime, name, app)]
    rows = (each for path in paths for each in _rows(path) if _name(each[1]) not in passed)
    async with runtime.unit_of_work() as db:
        loader = Loader(await db.connection(), kinds, ignore=ignorenonexistent)
        with progress(None, "Loading") as bar:
            counts = await loader.load(rows, bar.update)
    for name, count in counts.items():
        say(f"{name}: {count:,}", 2)
    say(f"Installed {sum(counts.values())} object(s) from {len(paths)} fixture(s)")


def _found(runtime: Runtime, name: str, app: str | None) -> list[Path]:
    """The files of that name: itself, else in the apps' folders."""
    if name == "-" or (Path(name).is_file() and not app):
        return [Path(name)]
    folders = [each.path / "fixtures" for each in runtime.registry.apps if app in (None, each.label)]
    found = [path for folder in folders for ending in ENDINGS if (path := folder / f"{name}{ending}").is_file()]
    if not found:
        raise CommandError(f"There is no fixture {name!r}: neither a file, nor in a folder fixtures of an app.")
    return found


def _rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Each row, and where it stands."""
    from project.core.db.fixtures import reading

    name = "standard input" if path.name == "-" else str(path)
    number = 0
    try:
        stream = sys.stdin if path.name == "-" else reading.opened(path, "rt")
        with stream:
            for number, row in enumerate(reading.rows(stream), 1):
                yield f"{name}, row {number}", row
    except (OSError, EOFError, ValueError) as error:
        raise CommandError(f"{name} cannot be read after row {number}: {error}. Nothing was loaded.") from error


def _name(row: Any) -> str:
    return str(row.get("model", "")).lower() if isinstance(row, dict) else ""
