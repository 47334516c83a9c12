"""Into place: the files of a new app, its migration, its line in INSTALLED_APPS; all of it or nothing."""

import ast
import importlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from click import ClickException

from project.core.conf import ROOT, Settings
from project.core.management import CommandError
from project.core.management.cli import Site
from project.core.management.makemigrations import makemigrations

SETTINGS = ROOT / "project" / "settings.py"
BY_HAND = "project/settings.py has no list INSTALLED_APPS that can be added to: write it as a list of names."


def plug_in(label: str, files: Mapping[str, str], settings: Settings) -> str:
    """Put the files in place, write the migration, name the app in INSTALLED_APPS; returns the migration's path.

    Whatever stops this leaves everything as it was. Raises CommandError.
    """
    added = with_app(SETTINGS.read_text(), f"apps.{label}")  # before anything is written
    with _undone(f"apps/{label}", f"templates/{label}", f"tests/{label}"):
        with tempfile.TemporaryDirectory(dir=ROOT, prefix=".startapp-") as draft:
            for path, text in files.items():
                file = Path(draft, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            for folder in sorted({"/".join(path.split("/")[:2]) for path in files}):
                (ROOT / folder).parent.mkdir(exist_ok=True)
                Path(draft, folder).rename(ROOT / folder)
        migration = _migrate(label, settings)
        _replace(SETTINGS, added)
    return migration


@contextmanager
def _undone(*folders: str) -> Iterator[None]:
    """Take the folders, and revisions that are new, away again if what is done meanwhile fails or is stopped."""
    versions = ROOT / "migrations" / "versions"
    known = set(versions.glob("*.py"))
    try:
        yield
    except BaseException:
        for folder in folders:
            shutil.rmtree(ROOT / folder, ignore_errors=True)
        for revision in set(versions.glob("*.py")) - known:
            revision.unlink()
        raise


def _migrate(label: str, settings: Settings) -> str:
    """Write the migration, for the site with the app."""
    importlib.invalidate_caches()  # its folder is new
    with_it = settings.model_copy(update={"INSTALLED_APPS": [*settings.INSTALLED_APPS, f"apps.{label}"]})
    words, written = [label, "--noinput", "--scriptable"], io.StringIO()
    try:
        with redirect_stdout(written), redirect_stderr(io.StringIO()):
            makemigrations.main(words, "makemigrations", standalone_mode=False, obj=Site(lambda: with_it))
    except ClickException as error:
        raise CommandError(f"The migration cannot be written, so nothing is: {error.message}") from error
    if not written.getvalue():
        raise CommandError("There is nothing to migrate, so nothing is written.")
    return written.getvalue().strip()


def with_app(source: str, name: str) -> str:
    """The settings with one more app at the end of INSTALLED_APPS, all else as it stands; raises CommandError."""
    listed = _listed(source)
    if not listed.elts:
        start = _place(source, listed.lineno, listed.col_offset) + 1
        return f'{source[:start]}"{name}"{source[start:]}'
    last = listed.elts[-1]
    end = _place(source, last.end_lineno or 0, last.end_col_offset or 0)
    before = source.split("\n")[last.lineno - 1].encode()[: last.col_offset].decode()
    rest = source[end:].partition("\n")[0]
    if before.strip() or listed.end_lineno == last.end_lineno:
        return f'{source[:end]}, "{name}"{source[end:]}'
    comma = "" if rest.lstrip().startswith(",") else ","
    return f'{source[:end]}{comma}{rest}\n{before}"{name}",{source[end + len(rest) :]}'


def _listed(source: str) -> ast.List | ast.Tuple:
    for node in ast.walk(ast.parse(source)):
        targets = (
            [node.target] if isinstance(node, ast.AnnAssign) else node.targets if isinstance(node, ast.Assign) else []
        )
        if any(getattr(target, "id", "") == "INSTALLED_APPS" for target in targets):
            lists = [each for each in ast.walk(node) if isinstance(each, ast.List | ast.Tuple)]
            for each in lists:
                if all(isinstance(item, ast.Constant) for item in each.elts):
                    return each
    raise CommandError(BY_HAND)


def _place(source: str, line: int, column: int) -> int:
    """The place in the text of what Python's parser names by line and by bytes of UTF-8 in it."""
    lines = source.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + len(lines[line - 1].encode()[:column].decode())


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(text)
    shutil.copymode(path, draft)
    draft.replace(path)
