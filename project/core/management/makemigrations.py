"""Write what the models have and the revisions lack."""

import asyncio
import sys
from typing import Any

import click

from project.core.management import CommandError, command
from project.core.management.migrate import labels_of
from project.core.runtime import Runtime


def _pairs(separator: str) -> Any:
    def parse(_: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
        pairs = [value.partition(separator) for value in values]
        if not all(left and middle and right for left, middle, right in pairs):
            raise click.BadParameter(f"write {option.metavar}")
        return {left: right.rpartition(".")[2] if separator == ":" else right for left, _, right in pairs}

    return parse


@command(epilog="Example: manage.py makemigrations blog --name add_state")
@click.argument("apps", nargs=-1, metavar="[APP]...")
@click.option("--check", is_flag=True, help="Exit with 1 if the models have changes, and write nothing.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--empty", is_flag=True, help="Write an empty revision to fill in by hand.")
@click.option("--merge", is_flag=True, help="Join several heads of the history.")
@click.option("--name", "-n", default="", help="What follows the number in the file's name.")
@click.option("--noinput", "--no-input", is_flag=True, help="Ask nothing; stop where an answer is needed.")
@click.option("--scriptable", is_flag=True, help="Only the paths of new files on standard output.")
@click.option("--rename", multiple=True, metavar="TABLE[.OLD]:NEW", callback=_pairs(":"), help="Answer: renamed.")
@click.option("--no-rename", is_flag=True, help="Answer: nothing else was renamed.")
@click.option("--default", multiple=True, metavar="TABLE.COLUMN=VALUE", callback=_pairs("="), help="For existing rows.")
def makemigrations(
    runtime: Runtime, apps: tuple[str, ...], name: str, noinput: bool, scriptable: bool, **flags: Any
) -> None:
    """Write a revision for what the models have and the revisions lack; APP keeps to its tables."""
    from project.core.db.migrations import FOLDER, read, writing

    labels_of(runtime, apps)
    if name and not name.isidentifier():
        raise CommandError(f"{name!r} cannot be part of a file name here: use letters, digits and _.", 2)
    if flags["merge"]:
        draft = writing.Draft("merge") if len(read().heads) > 1 else None
    elif flags["empty"]:
        draft = writing.Draft("_".join([*apps, "custom"]), apps=list(apps))
    else:
        draft = asyncio.run(_compare(runtime, set(apps), noinput or not sys.stdin.isatty(), flags))
    if draft is None:
        what = "conflicts detected to merge." if flags["merge"] else "changes detected"
        click.echo(f"No {what}" + (f" in {', '.join(apps)}" if apps else ""), err=scriptable)
        return
    click.echo(f"Migrations for {', '.join(draft.apps) or 'the site'}:", err=scriptable)
    if not (flags["check"] or flags["dry_run"]):
        path = writing.write(draft, name=name).relative_to(FOLDER.parent)
        click.echo(path if scriptable else f"  {path}")
    for line in draft.lines:
        click.echo(f"    {line}", err=scriptable)
    if flags["check"]:
        sys.exit(1)


async def _compare(runtime: Runtime, labels: set[str], silent: bool, flags: dict[str, Any]) -> Any:
    from project.core.db.migrations import writing
    from project.core.db.migrations.answers import Answers

    tables = {model.__tablename__: app.label for app in runtime.registry.apps for model in app.models}
    known = labels_of(runtime)

    def owner(table: str) -> str:
        longest = max((label for label in known if f"{table}_".startswith(f"{label}_")), key=len, default="")
        return tables.get(table, longest)

    confirm = (lambda _: False) if flags["no_rename"] else None if silent else click.confirm
    answers = Answers(flags["rename"], flags["default"], confirm, None if silent else click.prompt)
    url = runtime.database.url
    return await writing.compare(url, owner=owner, labels=labels, answers=None if flags["check"] else answers)
