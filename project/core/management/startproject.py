"""A new project beside this one: the framework and its apps, with a name and a key of its own."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import click

from project.core import __version__
from project.core.conf import ROOT
from project.core.errors import nearest
from project.core.management import CommandError

OF_THIS_ONE = (
    *("LICENSE", "README.md", "tests/bench/", "tests/faults/"),
    *(
        "tests/test_bench.py",
        "tests/test_readme.py",
        "tests/test_seed.py",
        "tests/test_startproject.py",
        "tests/test_docs.py",
    ),
)
NEEDED = "accounts"


@click.command(epilog="Example: manage.py startproject ../shop --name Shop")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="", help="The name people read; made from the folder's otherwise.")
@click.option("--without", default="", metavar="APP,APP", help="Leave these of its apps out: any but accounts.")
def startproject(folder: Path, name: str, without: str) -> None:
    """Make a new project: startproject ../shop --name Shop"""
    from project.core.management.starting.fresh import name_it
    from project.core.management.starting.leaving import leave_out
    from project.core.management.starting.tree import files_of, record

    target = folder.absolute()
    name = name.strip() or re.sub(r"[-_]+", " ", target.name).strip().capitalize()
    labels = _left_out(without)
    _check(target, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".startproject-") as inside:
        draft = Path(inside) / target.name
        for path in files_of(ROOT):
            if not path.startswith(OF_THIS_ONE):
                (draft / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, draft / path)
        leave_out(draft, labels)
        name_it(draft, name, __version__)
        record(draft, __version__)
        _commit(draft, name)
        if target.exists():
            target.rmdir()  # it is empty
        draft.rename(target)
    click.echo(f"{name} is in {folder}. Go on there:\n  python3 manage.py runserver\n  python3 manage.py test")


def _left_out(without: str) -> list[str]:
    labels = [label.strip() for label in without.split(",") if label.strip()]
    there = sorted(path.parent.name for path in (ROOT / "apps").glob("*/app.py"))
    for label in labels:
        if label == NEEDED:
            raise CommandError(f"No project can do without {NEEDED}: it says who is asking.", 2)
        if label not in there:
            raise CommandError(f"There is no app {label!r} to leave out.{nearest(label, there)}", 2)
    return labels


def _check(target: Path, name: str) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise CommandError(f"{target} is there already, and not empty: choose another folder.")
    if target.is_relative_to(ROOT):
        raise CommandError("A project stands beside this one, not in it: try ../shop.", 2)
    if not name or len(name) > 60 or re.search(r"[\"\\{}\x00-\x1f]", name):
        raise CommandError(f"A project cannot be called {name!r}: up to 60 letters, digits and spaces.", 2)


def _commit(folder: Path, name: str) -> None:
    """Begin a history, so that git can tell what was changed; without git the project does as well."""
    if shutil.which("git") is None:
        return
    who = ["-c", "user.name=startproject", "-c", "user.email=startproject@localhost", "-c", "commit.gpgsign=false"]
    steps = [["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--no-verify", "-m", f"Start {name}"]]
    for step in steps:
        done = subprocess.run(["git", *step], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandError(f"git {step[0]} failed: {done.stderr.strip()}")
