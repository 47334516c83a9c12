"""Writing: what the models have that the revisions lack, asked about where a guess could lose data, as a file."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import AutogenContext, produce_migrations
from alembic.autogenerate.render import _render_python_into_templatevars, renderers
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from project.core.db.migrations import applying, wording
from project.core.db.migrations.answers import Answers
from project.core.db.migrations.environment import Environment, plain_sql, rename_sql
from project.core.db.migrations.history import FOLDER, MigrationError, pending, read
from project.core.db.models import metadata as site_metadata

Operations = list[ops.MigrateOperation]


@dataclass(frozen=True)
class Draft:
    """A revision not yet written: what it does, line by line, the apps it touches, and the parts of its file."""

    slug: str
    lines: list[str]
    apps: list[str]
    parts: Mapping[str, Any] = field(default_factory=dict)


def first_word(table: str) -> str:
    """The app a table belongs to, by its name."""
    return table.split("_")[0]


async def compare(
    url: sa.URL | str,
    *,
    folder: Path = FOLDER,
    metadata: sa.MetaData = site_metadata,
    owner: Callable[[str], str] = first_word,
    labels: set[str] | None = None,
    answers: Answers | None = None,
) -> Draft | None:
    """What the models have that the revisions lack, in the tables of these apps; None when nothing.

    On SQLite the revisions are replayed in memory, so the site's database is not needed. On PostgreSQL the
    database itself is read, which has to be migrated; tables that no revision names are left alone.
    Raises MigrationError.
    """
    history = read(folder)
    history.one_head()
    known = set(metadata.tables) | {
        name for revision in history.revisions.values() for name in re.findall(r"[\"'](\w+)[\"']", revision.source)
    }

    def owns(table: str) -> bool:
        return table in known and (not labels or owner(table) in labels)

    _refuse_native_enums([table for name, table in metadata.tables.items() if owns(name)])
    work = _Comparison(metadata, owner, answers or Answers())

    def look(connection: sa.Connection) -> None:
        Environment(folder).run(work.look, connection=connection, metadata=metadata, owns=owns, dont_mutate=True)

    async with _reference(url, folder) as connection, applying.only_one():
        await connection.run_sync(look)
    return work.draft


@asynccontextmanager
async def _reference(url: sa.URL | str, folder: Path) -> AsyncIterator[AsyncConnection]:
    if sa.make_url(url).get_backend_name() == "sqlite":
        async with applying.connect(applying.MEMORY) as connection:
            await applying.run(connection, "head", folder=folder)
            yield connection
        return
    async with applying.connect(url) as connection:
        waiting = await connection.run_sync(pending, folder)
        await connection.rollback()
        if waiting:
            raise MigrationError(
                f"The database lacks {', '.join(waiting)}: run `python3 manage.py migrate`, then this again."
            )
        yield connection


def _refuse_native_enums(tables: list[sa.Table]) -> None:
    for column in (column for table in tables for column in table.columns):
        if isinstance(column.type, sa.Enum) and column.type.native_enum:
            raise MigrationError(
                f"{column} is a native enum, whose values SQLite does not know and no revision would follow: give it "
                f"sa_type=sa.Enum({getattr(column.type.enum_class, '__name__', '...')}, native_enum=False, "
                "create_constraint=True)."
            )


class _Comparison:
    """One look at the differences, as Alembic calls it."""

    def __init__(self, metadata: sa.MetaData, owner: Callable[[str], str], answers: Answers) -> None:
        self.metadata, self.owner, self.answers = metadata, owner, answers
        self.draft: Draft | None = None

    def look(self, _: Any, context: MigrationContext) -> list[Any]:
        """Make the draft; yields Alembic no step to run."""
        renames, undo = self._renames(context)
        found = self._differences(context)
        if renames or found:
            back = [*_back_again(found), *reversed(undo)]
            defaults = self._defaults(found) if self.answers.settle else []
            flat = wording.flat([*renames, *found])
            _plain_enums([*found, *defaults, *back])
            self.draft = Draft(
                wording.slug(flat, self.owner),
                [wording.describe(operation)[0] for operation in flat],
                sorted({self.owner(wording.table_of(operation)) for operation in flat} - {""}),
                self._rendered(context, [*renames, *found, *defaults], back),
            )
        return []

    def _differences(self, context: MigrationContext) -> Operations:
        found = produce_migrations(context, self.metadata).upgrade_ops
        return [] if found is None or found.is_empty() else found.ops

    def _renames(self, context: MigrationContext) -> tuple[Operations, Operations]:
        """Ask, rename in the database we compare with (it is rolled back), and look again until all is settled."""
        done, undo = Operations(), Operations()
        refused: set[tuple[str, str]] = set()
        unused = dict(self.answers.renames)
        while True:
            flat = wording.flat(self._differences(context))
            pairs = [*_table_pairs(flat), *_column_pairs(flat, context)]
            for old, new, likely, there, back in pairs:
                if (old, new) in refused:
                    continue
                if self.answers.renamed(old, new, likely):
                    context.execute(sa.text(rename_sql(context.dialect, old, new)))
                    unused.pop(old, None)
                    done.append(there)
                    undo.append(back)
                    break
                refused.add((old, new))
            else:
                break
        for old, new in unused.items():
            raise MigrationError(f"--rename {old}:{new} fits nothing: the models and revisions differ elsewhere.", 2)
        return done, undo

    def _defaults(self, found: Operations) -> Operations:
        """Give new NOT NULL columns a value for existing rows; returns what takes the default away again."""
        after = Operations()
        for operation in wording.flat(found):
            if not isinstance(operation, ops.AddColumnOp):
                continue
            column, table = operation.column, operation.table_name
            if column.nullable or column.server_default is not None or column.computed or column.identity:
                continue
            value = self.answers.default(table, column)
            operation.column = sa.Column(column.name, column.type, nullable=False, server_default=value)
            kept: dict[str, Any] = {"existing_type": column.type, "existing_nullable": False}
            drop = ops.AlterColumnOp(table, column.name, modify_server_default=None, **kept)
            after.append(ops.ModifyTableOps(table, [drop]))
        return after

    def _rendered(self, context: MigrationContext, there: Operations, back: Operations) -> dict[str, str]:
        script = ops.MigrationScript(
            "",
            ops.UpgradeOps(there, upgrade_token="upgrades"),  # noqa: S106
            ops.DowngradeOps(back, downgrade_token="downgrades"),  # noqa: S106
        )
        parts: dict[str, Any] = {}
        _render_python_into_templatevars(AutogenContext(context, metadata=self.metadata), script, parts)
        parts["downgrades"] = plain_sql(parts["downgrades"])
        return {name: re.sub(r"\s*# ### .*|, schema=None", "", part).strip() for name, part in parts.items()}


Pair = tuple[str, str, bool, ops.MigrateOperation, ops.MigrateOperation]


def _table_pairs(flat: Operations) -> list[Pair]:
    gone = [op for op in flat if isinstance(op, ops.DropTableOp)]
    new = [op for op in flat if isinstance(op, ops.CreateTableOp)]
    return [
        (
            a.table_name,
            b.table_name,
            a.to_table().columns.keys() == b.to_table().columns.keys(),
            ops.RenameTableOp(a.table_name, b.table_name),
            ops.RenameTableOp(b.table_name, a.table_name),
        )
        for a in gone
        for b in new
    ]


def _column_pairs(flat: Operations, context: MigrationContext) -> list[Pair]:
    pairs: list[Pair] = []
    for a in (op for op in flat if isinstance(op, ops.DropColumnOp)):
        old = a.to_column()
        for b in (op for op in flat if isinstance(op, ops.AddColumnOp) and op.table_name == a.table_name):
            new = b.column
            both_text = _is_text(old.type) and _is_text(new.type)
            likely = both_text or not context.impl.compare_type(old, new)
            there, back = _rename(a.table_name, old, old.name, new.name), _rename(a.table_name, old, new.name, old.name)
            pairs.append((f"{a.table_name}.{old.name}", new.name, likely, there, back))
    return pairs


def _is_text(kind: sa.types.TypeEngine[Any]) -> bool:
    return isinstance(kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind, sa.String)


def _rename(table: str, column: sa.Column[Any], old: str, new: str) -> ops.ModifyTableOps:
    kept: dict[str, Any] = {"existing_type": column.type, "existing_nullable": column.nullable}
    return ops.ModifyTableOps(table, [ops.AlterColumnOp(table, old, modify_name=new, **kept)])


def _plain_enums(operations: Operations) -> None:
    """On an existing table the CHECK of an enum is an operation of its own, so the column is plain text."""
    for operation in wording.flat(operations):
        if isinstance(operation, ops.AddColumnOp) and isinstance(kind := operation.column.type, sa.Enum):
            default, optional = operation.column.server_default, operation.column.nullable
            plain = sa.String(kind.length)
            operation.column = sa.Column(operation.column.name, plain, nullable=optional, server_default=default)
        if isinstance(operation, ops.AlterColumnOp):
            if isinstance(new := operation.modify_type, sa.Enum):
                operation.modify_type = sa.String(new.length)
            if isinstance(old := operation.existing_type, sa.Enum):
                operation.existing_type = sa.String(old.length)


def _back_again(found: Operations) -> Operations:
    """The way back. A column that comes back is optional: its values are gone, and the rows have to stay."""
    back = ops.UpgradeOps(found).reverse().ops
    for operation in wording.flat(back):
        if isinstance(operation, ops.AddColumnOp) and operation.column.server_default is None:
            operation.column = sa.Column(operation.column.name, operation.column.type, nullable=True)
    return back


@renderers.dispatch_for(ops.RenameTableOp)
def _render_rename(_: AutogenContext, operation: ops.RenameTableOp) -> str:
    return f"op.rename_table({operation.table_name!r}, {operation.new_table_name!r})"


def write(draft: Draft, *, folder: Path = FOLDER, name: str = "") -> Path:
    """Write the draft after the heads of the history, numbered; `name` replaces what follows the number."""
    history = read(folder)
    numbers = [int(found[0]) for id in history.revisions if (found := re.match(r"\d+", id))]
    id = f"{max(numbers, default=0) + 1:04}_{name or draft.slug}"
    telling = [line[2:] for line in draft.lines if not re.match(r". \w+ (index|constraint)", line)]
    message = "; ".join(telling[:3] or [id]) + (f" and {len(telling) - 3} more." if len(telling) > 3 else ".")
    environment = Environment(folder)
    made = environment.script.generate_revision(
        id,
        message,
        head=tuple(history.heads) or "base",
        apps=draft.apps,
        **draft.parts,
    )
    if made is None:
        raise MigrationError(f"{id}.py could not be written.")
    path = Path(made.path)
    if importlib.util.find_spec("ruff"):
        subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=False)  # noqa: S603
    return path
