"""What goes with an app that a new project does without: its folders, tests, settings and revisions."""

import re
import shutil
from pathlib import Path

from project.core.db.migrations.history import History, read
from project.core.management import CommandError


def leave_out(root: Path, labels: list[str]) -> None:
    """Take the apps out of a project; raises CommandError for one that others need."""
    history = read(root / "migrations")
    for label in labels:
        for folder in (f"apps/{label}", f"templates/{label}", f"templates/mail/{label}", f"tests/{label}"):
            shutil.rmtree(root / folder, ignore_errors=True)
        _drop_lines(root / "project" / "settings.py", rf'^ *"apps\.{label}",\n')
        _drop_lines(root / ".env.example", rf"^# .*\n# {label.upper()}_\w+=.*\n\n?")
        _drop_lines(root / "pyproject.toml", rf"^.*# .*\b{label}\b.*\n")
        _drop_tests(root, label)
        _drop_docs(root / "project" / "docs", label)
    _drop_revisions(root, history, set(labels))
    for label in labels:
        _refuse_what_is_left(root, label)


def _drop_lines(path: Path, pattern: str) -> None:
    path.write_text(re.sub(pattern, "", path.read_text(), flags=re.M).rstrip("\n") + "\n")


def _drop_tests(root: Path, label: str) -> None:
    """Take away the tests elsewhere that are about the app."""
    about = re.compile(rf"\bapps\.{label}\b|[\"'/]{label}[/\"']")
    for path in (root / "tests").rglob("*.py"):
        if about.search(path.read_text()):
            path.unlink()


def _drop_docs(docs: Path, label: str) -> None:
    """Take away the lines of tables that name the app, and pages about it, with the items that link to them."""
    about = re.compile(rf"\bapps/{label}\b|/{label}/|\b{label.upper()}_")
    for page in docs.glob("*.md"):
        _drop_lines(page, rf"^\|.*({about.pattern}).*\n")
    for page in [page for page in docs.glob("*.md") if about.search(page.read_text())]:
        page.unlink()
        for other in docs.glob("*.md"):
            _drop_lines(other, rf"^- \[[^\]]*\]\({page.name}\).*\n(  .*\n)*")


def _drop_revisions(root: Path, history: History, labels: set[str]) -> None:
    gone = {each.id: each.parents for each in history.revisions.values() if each.apps and labels.issuperset(each.apps)}
    for revision in history.revisions.values():
        path = next((root / "migrations" / "versions").glob(f"{revision.id}*.py"))
        if revision.id in gone:
            path.unlink()
            continue
        if labels & set(revision.apps):
            raise CommandError(f"{revision.id} is about {', '.join(revision.apps)} at once and cannot be taken apart.")
        for parent in gone.keys() & set(revision.parents):
            kept = _kept(parent, gone)
            line = rf"^(down_revision = .*?)[\"']{re.escape(parent)}[\"']"
            path.write_text(re.sub(line, rf'\1"{kept}"' if kept else r"\1None", path.read_text(), flags=re.M))


def _kept(revision: str, gone: dict[str, tuple[str, ...]]) -> str:
    """The nearest revision below that stays."""
    while revision in gone:
        revision = next(iter(gone[revision]), "")
    return revision


def _refuse_what_is_left(root: Path, label: str) -> None:
    """An app that imports another one cannot do without it."""
    for path in (root / "apps").rglob("*.py"):
        if re.search(rf"\bapps\.{label}\b", path.read_text()):
            raise CommandError(f"apps/{path.parent.name} needs apps/{label}: leave both out, or neither.")
