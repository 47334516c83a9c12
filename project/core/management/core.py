"""The framework in this project: what was changed in it, and a newer one in its place."""

import difflib
import shutil
import tempfile
import tomllib
from pathlib import Path

import click

from project.core import __version__
from project.core.conf import ROOT
from project.core.management import CommandError
from project.core.management.starting import tree

UNKNOWN = "This project has no record of the framework it was started with: name the framework's folder with --from."
Changes = dict[str, str]  # {path: changed, added or removed}


@click.command(epilog="Example: manage.py core --diff")
@click.option("--diff", is_flag=True, help="Show what this project changed, line by line.")
@click.option(
    "--from", "source", type=click.Path(exists=True, path_type=Path), help="Compare with the framework there."
)
@click.option("--upgrade", type=click.Path(exists=True, path_type=Path), help="Take the framework from there.")
@click.option("--force", is_flag=True, help="Give up what was changed here.")
def core(diff: bool, source: Path | None, upgrade: Path | None, force: bool) -> None:
    """Tell what was changed in the framework, or upgrade it: core --upgrade ../uptempo"""
    version, before = _before(source or upgrade)
    changes = _changes(before)
    if upgrade:
        return _upgrade(upgrade.absolute(), changes, force)
    changed = f"{len(changes)} files changed" if changes else "unchanged"
    click.echo(f"project/core and tests/core, version {version}: {changed}.")
    for path, what in changes.items():
        click.echo(f"  {what:<8} {path}")
        if diff:
            click.echo(_lines(path, before.get(path), source), nl=False)
    return None


def _before(source: Path | None) -> tuple[str, dict[str, str]]:
    """The version, and {path: blob} of its files."""
    told = tree.recorded(ROOT)
    if told:
        return told
    if source is None:
        raise CommandError(UNKNOWN)
    return __version__, tree.framework_of(source.absolute())


def _changes(before: dict[str, str]) -> Changes:
    now = tree.framework_of(ROOT)
    names = sorted(now.keys() | before.keys())
    kinds = {name: "added" if name not in before else "removed" if name not in now else "changed" for name in names}
    return {name: kind for name, kind in kinds.items() if now.get(name) != before.get(name)}


def _lines(path: str, name: str | None, source: Path | None) -> str:
    """What differs, as `diff -u` writes it."""
    old = tree.original(ROOT, path, name, source) if name else ""
    if old is None:
        return "    (the original is not in this project's git: name the framework's folder with --from)\n"
    new = (ROOT / path).read_text() if (ROOT / path).exists() else ""
    return "".join(difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}"))


def _upgrade(source: Path, changes: Changes, force: bool) -> None:
    """Put the framework of another folder in place of this one's; refuses to lose what was changed here."""
    fresh = tree.framework_of(source)
    if "project/core/__init__.py" not in fresh:
        raise CommandError(f"There is no framework in {source}: name the folder that has its manage.py.", 2)
    lost = [path for path in changes if fresh.get(path) != tree.framework_of(ROOT).get(path)]
    if lost and not force:
        listed = "".join(f"\n  {changes[path]:<8} {path}" for path in lost)
        raise CommandError(f"This project changed what would be lost: see `core --diff`. --force gives it up:{listed}")
    with tempfile.TemporaryDirectory(dir=ROOT, prefix=".upgrade-") as inside:
        draft = Path(inside)
        for path in fresh:
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / path, draft / path)
        tree.record(draft, _version(source))
        for folder in tree.FRAMEWORK:
            (ROOT / folder).rename(draft / f"{Path(folder).parent.name}.old")
            (draft / folder).rename(ROOT / folder)
    click.echo(f"The framework is of version {_version(source)} now. {_wanted(source)}Then, in this order:")
    click.echo("  python3 manage.py makemigrations\n  python3 manage.py migrate\n  python3 manage.py test")


def _version(source: Path) -> str:
    text = (source / "project" / "core" / "__init__.py").read_text()
    return text.partition('__version__ = "')[2].partition('"')[0]


def _wanted(source: Path) -> str:
    """The packages that it asks for and this project's pyproject.toml does not."""
    ours, theirs = (tomllib.loads((root / "pyproject.toml").read_text())["project"] for root in (ROOT, source))
    lacks = sorted(set(theirs["dependencies"]) - set(ours["dependencies"]))
    return f"Add {', '.join(lacks)} to pyproject.toml and type `manage.py lock`. " if lacks else ""
