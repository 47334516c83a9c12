"""The history: the revisions in the folder, read without running them, and how far a database has come."""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, inspect, text

from project.core.conf import ROOT

FOLDER = ROOT / "migrations"


class MigrationError(click.ClickException):
    """Migrating cannot go on; one sentence says what to do, which every command prints.

    Args:
        message: the sentence.
        code: the exit code: 1, or 2 for wrong usage.
    """

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        vars(self)["exit_code"] = code


@dataclass(frozen=True, slots=True)
class Revision:
    """One file: its id, the revisions it builds on, the labels of the apps whose tables it touches."""

    id: str
    parents: tuple[str, ...]
    apps: tuple[str, ...]
    source: str


class History:
    """All revisions, parents first. Raises MigrationError when they do not fit together."""

    def __init__(self, revisions: Collection[Revision]) -> None:
        known = {revision.id: revision for revision in revisions}
        if len(known) < len(revisions):
            raise MigrationError("Two files in migrations/versions have the same revision id: rename one.")
        for revision in revisions:
            for parent in set(revision.parents) - known.keys():
                raise MigrationError(
                    f"{revision.id} builds on {parent}, which is not in migrations/versions: "
                    "bring that file back or correct down_revision."
                )
        order = TopologicalSorter({id: known[id].parents for id in sorted(known)}).static_order()
        self.revisions = {id: known[id] for id in order}

    @property
    def heads(self) -> list[str]:
        """The revisions nothing builds on; more than one after two branches were merged in git."""
        built_on = {parent for revision in self.revisions.values() for parent in revision.parents}
        return [id for id in self.revisions if id not in built_on]

    def one_head(self) -> list[str]:
        """The head, if there is any revision; raises MigrationError when there are several."""
        if len(self.heads) > 1:
            raise MigrationError(
                f"The history has several heads ({', '.join(self.heads)}): "
                "join them with `python3 manage.py makemigrations --merge`."
            )
        return self.heads

    def applied(self, heads: Collection[str]) -> set[str]:
        """The heads in a database and all they build on; raises MigrationError for a head that has no file."""
        for unknown in set(heads) - self.revisions.keys():
            raise MigrationError(
                f"The database is at revision {unknown}, which is not in migrations/versions: "
                "bring that file back, or use the code that migrated this database."
            )
        found = set(heads)
        for revision in reversed(self.revisions.values()):
            if revision.id in found:
                found.update(revision.parents)
        return found

    def resolve(self, name: str) -> str:
        """The id meant by "head", "zero", an id, or its beginning, such as 0002; raises MigrationError."""
        if name in ("head", "zero") or name in self.revisions:
            return name
        found = [id for id in self.revisions if id.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise MigrationError(f"{name!r} may be {' or '.join(found)}: write more of it.", 2)
        raise MigrationError(f"There is no revision {name!r}: `python3 manage.py showmigrations` lists them.", 2)

    def plan(self, done: Collection[str], target: str) -> list[tuple[Revision, bool]]:
        """What takes a database there, in order; True means backwards. `target` is as resolve() returns it."""
        everything, zero = list(self.revisions.values()), target == "zero"
        if zero or target in done:
            gone = [r for r in everything if r.id in done and (zero or target in self.applied(r.parents))]
            return [(revision, True) for revision in reversed(gone)]
        wanted = self.applied(self.one_head() if target == "head" else [target]) - set(done)
        return [(revision, False) for revision in everything if revision.id in wanted]


def read(folder: Path = FOLDER) -> History:
    """The history in `folder`/versions; kept until a file changes. Raises MigrationError."""
    files = sorted((folder / "versions").glob("*.py"))
    return _read(tuple((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=8)
def _read(files: tuple[tuple[Path, int], ...]) -> History:
    found = [_parse(path) for path, _ in files if path.name != "__init__.py"]
    return History([revision for revision in found if revision])


def _parse(path: Path) -> Revision | None:
    source, values = path.read_text("utf-8"), dict[str, Any]()
    try:
        for node in ast.parse(source).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision", "apps"):
                values[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    except (SyntaxError, ValueError) as error:
        raise MigrationError(f"{path.name} cannot be read as a revision ({error}).") from None
    if "revision" not in values:
        return None
    parents = values.get("down_revision") or ()
    parents = (parents,) if isinstance(parents, str) else tuple(parents)
    return Revision(values["revision"], parents, tuple(values.get("apps", ())), source)


def database_heads(connection: Connection) -> set[str]:
    """The revisions the database says it is at; none for a new one."""
    if not inspect(connection).has_table("alembic_version"):
        return set()
    return set(connection.scalars(text("SELECT version_num FROM alembic_version")))


def pending(connection: Connection, folder: Path = FOLDER) -> list[str]:
    """The revisions that wait to be applied, in order; cheap enough for a health check.

    A database that newer code has migrated further has nothing pending: during a deployment the older
    processes stay ready.
    """
    history = read(folder)
    heads = database_heads(connection)
    if heads - history.revisions.keys():
        return []
    done = history.applied(heads)
    return [id for id in history.revisions if id not in done]
