"""Write the rows of the site as a fixture."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from project.core.management import CommandError, command, progress
from project.core.management.backup import in_place_of
from project.core.runtime import Runtime

if TYPE_CHECKING:
    from project.core.db.fixtures.kinds import Kind

LAYOUTS = {"json": (b"[\n", b",\n", b"\n]\n"), "jsonl": (b"", b"\n", b"\n")}


@command(epilog="Example: manage.py dumpdata accounts.User --natural-foreign --natural-primary -o people.json.gz")
@click.argument("labels", nargs=-1, metavar="[APP[.MODEL]]...")
@click.option("--format", "layout", type=click.Choice([*LAYOUTS]), default="json", help="One list, or lines.")
@click.option("--indent", type=click.IntRange(0, 8), help="Spaces to indent by; one row a line otherwise.")
@click.option("--exclude", "-e", multiple=True, metavar="APP[.MODEL]", help="Leave this out; may be repeated.")
@click.option("--natural-foreign", is_flag=True, help="Name referenced rows by their natural keys.")
@click.option("--natural-primary", is_flag=True, help="Leave out the ids of rows that have a natural key.")
@click.option("--all", "-a", "everything", is_flag=True, help="Sessions, tokens and jobs, too.")
@click.option("--pks", default="", help="Only these primary keys of one model, separated by commas.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; .gz .bz2 .xz pack it.")
async def dumpdata(
    runtime: Runtime, labels: Sequence[str], exclude: Sequence[str], layout: str, output: Path | None, **options: Any
) -> None:
    """Write rows as JSON: all, or those of APP or APP.MODEL.

    Password hashes are among them. What means nothing in another database (sessions, tokens, jobs) has to be named,
    or asked for with --all.
    """
    from project.core.db.fixtures import dumping
    from project.core.db.fixtures.kinds import all_kinds

    kinds = all_kinds(runtime.registry.apps)
    wanted = _wanted(kinds, labels, exclude, everything=options["everything"])
    pks = [pk.strip() for pk in options["pks"].split(",") if pk.strip()]
    if pks and (len(labels), len(wanted)) != (1, 1):
        raise CommandError("--pks goes with one model: manage.py dumpdata accounts.User --pks ID,ID")
    indent = options["indent"] if layout == "json" else None
    style = dumping.Style(options["natural_foreign"], options["natural_primary"], indent)
    opening, between, closing = LAYOUTS[layout]
    async with runtime.unit_of_work(write=False) as db:
        connection = await dumping.snapshot(db)
        total = await dumping.count(connection, wanted) if output else 0
        with _written(output) as stream, progress(total, "Dumping", shown=bool(output)) as bar:
            stream.write(opening)
            first = True
            async for row in dumping.dump(connection, kinds, wanted, style, pks):
                stream.write((b"" if first else between) + style.encode(row))
                first = False
                bar.update(1)
            stream.write(closing)


def _wanted(
    kinds: dict[str, "Kind"], labels: Sequence[str], exclude: Sequence[str], *, everything: bool
) -> list["Kind"]:
    from project.core.db.fixtures.kinds import chosen

    left_out, named = chosen(kinds, exclude), {label.lower() for label in labels}
    return [
        kind
        for kind in chosen(kinds, labels or kinds)
        if kind not in left_out and (everything or kind.name in named or not kind.transient)
    ]


@contextmanager
def _written(path: Path | None) -> Iterator[Any]:
    """Where the bytes go: a file for the owner's eyes only, which is there when it is whole; or standard output."""
    from project.core.db.fixtures.reading import opened

    if path is None:
        yield sys.stdout.buffer
        return
    with in_place_of(path) as part, opened(part, "wb") as stream:
        yield stream
