"""Writing: what the models have that the revisions lack, asked about where a guess could lose data, as a file."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.api import produce_migrations, render_python_code
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection

from project.core.db.migrations.answers import Answers, undecorated
from project.core.db.migrations.applying import MEMORY, Run, connect, is_sqlite
from project.core.db.migrations.environment import Environment, plain_sql, render_item
from project.core.db.migrations.history import FOLDER, MigrationError, pending, read
from project.core.db.migrations.wording import Rename, describe, flat, slug, table_of
from project.core.db.models import metadata as site_metadata

POSTGRESQL = "from sqlalchemy.dialects import postgresql"
PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]
KEPT: dict[str, Any] = {"existing_nullable": False, "modify_server_default": None}
Operations = list[ops.MigrateOperation]


@dataclass(frozen=True)
class Draft:
    """A revision not yet written: what it does, line by line, the apps it touches, and the parts of its file."""

    slug: str
    lines: list[str] = field(default_factory=list)
    apps: list[str] = field(default_factory=list)
    parts: Mapping[str, Any] = field(default_factory=dict)


async def compare(
    url: sa.URL | str,
    *,
    folder: Path = FOLDER,
    metadata: sa.MetaData = site_metadata,
    owner: Callable[[str], str] = lambda table: table.split("_")[0],
    labels: set[str] | None = None,
    answers: Answers | None = None,
) -> Draft | None:
    """What the models have that the revisions lack, in the tables of these apps; None when nothing.

    On SQLite the revisions are replayed in memory, so the site's database is not needed. On PostgreSQL the
    database itself is read, which has to be migrated; tables that no revision names are left alone. Without
    `answers` this only looks, and asks nothing. Raises MigrationError.
    """
    history = read(folder)
    history.one_head()
    sources = "".join(revision.source for revision in history.revisions.values())
    known = {*metadata.tables, *re.findall(r"[\"'](\w+)[\"']", sources)}

    def owns(_: Any, table: Any, kind: str, *__: Any) -> bool:
        return kind != "table" or (table in known and (not labels or owner(table) in labels))

    def look(connection: sa.Connection) -> Draft | None:
        choice = {"include_name": partial(owns, None), "include_object": owns, "autogenerate_plugins": PLUGINS}
        context = MigrationContext.configure(connection, opts=choice | {"compare_server_default": True})
        return _draft(context, metadata, owner, answers)

    _refuse_native_enums([table for name, table in metadata.tables.items() if owns(table, name, "table")])
    async with _reference(url, folder) as connection:
        return await connection.run_sync(look)


@asynccontextmanager
async def _reference(url: sa.URL | str, folder: Path) -> AsyncIterator[AsyncConnection]:
    in_memory = is_sqlite(url)
    async with connect(MEMORY if in_memory else url) as connection:
        if in_memory:
            await Run(connection, folder).to("head")
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


def _draft(
    context: MigrationContext, metadata: sa.MetaData, owner: Callable[[str], str], answers: Answers | None
) -> Draft | None:
    def differences() -> Operations:
        found = produce_migrations(context, metadata).upgrade_ops
        return found.ops if found else []

    renames = _renames(context, differences, answers) if answers else []
    found = differences()
    back = [*_back_again(found), *(rename.reverse() for rename in reversed(renames))]
    after = _defaults(found, answers) if answers else []
    _plain_enums([*found, *after, *back])
    touched = flat([*renames, *found])
    up, down = _code([*renames, *found, *after], context), plain_sql(_code(back, context))
    draft = Draft(
        slug(touched),
        [describe(operation)[0] for operation in touched],
        sorted({owner(table_of(operation)) for operation in touched} - {""}),
        {"upgrades": up, "downgrades": down, "imports": POSTGRESQL * ("postgresql." in up + down)},
    )
    return draft if touched else None


def _renames(context: MigrationContext, differences: Callable[[], Operations], answers: Answers) -> list[Rename]:
    """Ask, rename in the database we compare with (it is rolled back), and look again until all is settled."""
    done: list[Rename] = []
    refused: set[tuple[str, str]] = set()
    while True:
        for old, new, likely in _pairs(flat(differences()), context):
            if (old, new) not in refused and answers.renamed(old, new, likely):
                done.append(Rename(old, new))
                context.execute(sa.text(str(done[-1].sqltext)))
                break
            refused.add((old, new))
        else:
            break
    for old in answers.renames.keys() - {rename.old for rename in done}:
        wanted = f"{old}:{answers.renames[old]}"
        raise MigrationError(f"--rename {wanted} fits nothing: the models and revisions differ elsewhere.", 2)
    return done


def _pairs(operations: Operations, context: MigrationContext) -> Iterator[tuple[str, str, bool]]:
    """What may be a rename: the old name, the new one, and whether the two look alike."""
    for pair in product(operations, operations):
        match pair:
            case ops.DropTableOp() as gone, ops.CreateTableOp() as made:
                yield gone.table_name, made.table_name, gone.to_table().c.keys() == made.to_table().c.keys()
            case ops.DropColumnOp() as gone, ops.AddColumnOp() as made if gone.table_name == made.table_name:
                old, new = gone.to_column(), made.column
                both_text = all(isinstance(undecorated(each.type), sa.String) for each in (old, new))
                likely = both_text or not context.impl.compare_type(old, new)
                yield f"{gone.table_name}.{old.name}", new.name, likely


def _defaults(found: Operations, answers: Answers) -> Operations:
    """Give new NOT NULL columns a value for existing rows; returns what takes the default away again."""
    after = Operations()
    for operation in flat(found):
        if isinstance(operation, ops.AddColumnOp) and not (column := operation.column).nullable:
            if column.server_default is not None or column.computed or column.identity:
                continue
            table, kept = operation.table_name, KEPT | {"existing_type": column.type}
            operation.column = _copy(column, server_default=answers.default(table, column))
            after.append(ops.ModifyTableOps(table, [ops.AlterColumnOp(table, column.name, **kept)]))
    return after


def _copy(column: sa.Column[Any], kind: sa.types.TypeEngine[Any] | None = None, **changes: Any) -> sa.Column[Any]:
    options = {"nullable": column.nullable, "server_default": column.server_default} | changes
    return sa.Column(column.name, kind or column.type, **options)


def _plain_enums(operations: Operations) -> None:
    """On an existing table the CHECK of an enum is an operation of its own, so the column is plain text."""

    def plain(kind: Any) -> Any:
        return sa.String(kind.length) if isinstance(kind, sa.Enum) else kind

    for operation in flat(operations):
        if isinstance(operation, ops.AddColumnOp) and isinstance(operation.column.type, sa.Enum):
            operation.column = _copy(operation.column, plain(operation.column.type))
        if isinstance(operation, ops.AlterColumnOp):
            operation.modify_type = plain(operation.modify_type)
            operation.existing_type = plain(operation.existing_type)


def _back_again(found: Operations) -> Operations:
    """The way back. A column that comes back is optional: its values are gone, and the rows have to stay."""
    back = ops.UpgradeOps(found).reverse().ops
    for operation in flat(back):
        if isinstance(operation, ops.AddColumnOp) and operation.column.server_default is None:
            operation.column = _copy(operation.column, nullable=True)
    return back


def _code(operations: Operations, context: MigrationContext) -> str:
    plain = MigrationContext.configure(dialect=context.dialect)
    code = render_python_code(
        ops.UpgradeOps(operations), render_as_batch=True, render_item=render_item, migration_context=plain
    )
    return re.sub(r"\s*# ### .*|, schema=None", "", code).strip()


def write(draft: Draft, *, folder: Path = FOLDER, name: str = "") -> Path:
    """Write the draft after the heads of the history, numbered; `name` replaces what follows the number."""
    history = read(folder)
    numbers = [int(found[0]) for id in history.revisions if (found := re.match(r"\d+", id))]
    id = f"{max(numbers, default=0) + 1:04}_{name or draft.slug}"
    message = "; ".join([line[2:] for line in draft.lines[:3]] or [id]) + (", and more." if draft.lines[3:] else ".")
    environment, after = Environment(folder), tuple(history.heads) or "base"
    made = environment.script.generate_revision(id, message, after, apps=draft.apps, **draft.parts)
    assert made is not None
    path = Path(made.path)
    if importlib.util.find_spec("ruff"):
        subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=False)  # noqa: S603
    return path
