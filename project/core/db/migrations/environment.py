"""Alembic's side: its options, its dialects with our manners, and types written so that both databases read them.

Importing this module imports Alembic; only what runs or writes revisions does.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import _repr_type
from alembic.config import Config
from alembic.ddl._autogen import ComparisonResult
from alembic.ddl.impl import DefaultImpl
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.operations.batch import BatchOperationsImpl
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

from project.core.conf import ROOT
from project.core.db.migrations.applying import connect
from project.core.db.migrations.history import MigrationError
from project.core.db.models import metadata

logging.getLogger("alembic").setLevel(logging.WARNING)
CAST = re.compile(r"::[a-z]+( [a-z]+)*(\([\d, ]+\))?(\[\])?")  # as PostgreSQL writes 'x'::character varying
PLUGINS = ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"]


class _Manners(DefaultImpl):
    """What both databases share: room for readable revision ids, and CHECKs compared by their values."""

    def version_table_impl(self, **options: Any) -> sa.Table:
        table = super().version_table_impl(**options)
        table.c.version_num.type = sa.String(200)
        return table

    def compare_check_constraint(
        self, metadata_constraint: sa.CheckConstraint, reflected_constraint: sa.CheckConstraint
    ) -> ComparisonResult:
        ours = metadata_constraint.sqltext.compile(dialect=self.dialect, compile_kwargs={"literal_binds": True})
        same = _values(str(ours)) == _values(str(reflected_constraint.sqltext))
        return ComparisonResult.Equal() if same else ComparisonResult.Different("other values")


class _PostgreSQL(_Manners, PostgresqlImpl):
    __dialect__ = "postgresql"


class _SQLite(_Manners, SQLiteImpl):
    """SQLite renames a column by itself, in CHECKs, indexes and foreign keys too; rebuilding would lose track."""

    __dialect__ = "sqlite"
    transactional_ddl = True

    def requires_recreate_in_batch(self, batch_op: BatchOperationsImpl) -> bool:
        return not all(_only_renames(name, kw) for name, _, kw in batch_op.batch) and (
            super().requires_recreate_in_batch(batch_op)
        )

    def alter_column(self, table_name: str, column_name: str, **options: Any) -> None:
        if not _only_renames("alter_column", options):
            raise NotImplementedError("SQLite alters columns inside op.batch_alter_table() only")
        self.execute(sa.text(rename_sql(self.dialect, f"{table_name}.{column_name}", options["name"])))


def _only_renames(operation: str, options: dict[str, Any]) -> bool:
    changes = {k for k, v in options.items() if not k.startswith("existing_") and v is not None and v is not False}
    return operation == "alter_column" and changes == {"name"}


def rename_sql(dialect: sa.Dialect, old: str, new: str) -> str:
    """ALTER TABLE for "table" or "table.column"; `new` is the bare new name."""
    table, *column = map(dialect.identifier_preparer.quote, old.split("."))
    return f"ALTER TABLE {table} RENAME {' '.join(['COLUMN', *column, ''] if column else [])}TO " + (
        dialect.identifier_preparer.quote(new)
    )


def plain_sql(written: str) -> str:
    """SQL read back from PostgreSQL as both databases understand it."""
    return re.sub(r"= ANY \(ARRAY\[(.*?)\]\)", r"IN (\1)", CAST.sub("", written))


def _values(condition: str) -> set[str]:
    return set(re.findall(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", plain_sql(condition)))


class Environment:
    """A folder of revisions as Alembic sees it, with the options of pyproject.toml."""

    def __init__(self, folder: Path) -> None:
        self.config = Config(toml_file=ROOT / "pyproject.toml")
        self.config.set_main_option("script_location", str(folder).replace("%", "%%"))
        self.config.set_main_option("file_template", "%%(rev)s")
        self.script = ScriptDirectory.from_config(self.config)
        self.script.messaging_opts = {"quiet": True}

    def step(self, id: str, backwards: bool) -> MigrationStep:
        """One revision as Alembic runs it."""
        make = MigrationStep.downgrade_from_script if backwards else MigrationStep.upgrade_from_script
        return make(self.script.revision_map, self.script.get_revision(id))

    def run(
        self, work: Callable[..., Iterable[MigrationStep]], *, buffer: StringIO | None = None, **given: Any
    ) -> None:
        """Run env.py. `work` yields the steps; `given` is the connection (none: write PostgreSQL's SQL to the
        buffer), metadata, and owns(table), and else options of Alembic's EnvironmentContext.
        """
        self.config.output_buffer = buffer
        self.config.attributes = {name: given.pop(name, None) for name in ("connection", "metadata", "owns")}
        with EnvironmentContext(self.config, self.script, fn=work, **given):
            self.script.run_env()


def enter(find_url: Callable[[], sa.URL], **options: Any) -> None:
    """What migrations/env.py calls; `options` are those of context.configure() and win over ours.

    Under the plain `alembic` command nobody has opened a connection: find_url() says where.
    """
    attributes = context.config.attributes
    if "connection" in attributes:
        _configure(attributes["connection"], options)
    elif context.is_offline_mode():
        _configure(None, options)
    else:
        asyncio.run(_alone(find_url(), options))


async def _alone(url: sa.URL, options: dict[str, Any]) -> None:
    async with connect(url) as connection:
        await connection.run_sync(_configure, options)


def _configure(connection: sa.Connection | None, options: dict[str, Any]) -> None:
    attributes = context.config.attributes
    owns = attributes.get("owns") or bool
    ours: dict[str, Any] = {
        "target_metadata": attributes.get("metadata") or metadata,
        "autogenerate_plugins": PLUGINS,
        "compare_server_default": True,
        "include_name": lambda name, kind, _: kind != "table" or owns(name),
        "include_object": lambda _, name, kind, *__: kind != "table" or owns(name),
        "on_version_apply": _keep_references,
        "render_as_batch": True,
        "render_item": render_item,
        "transaction_per_migration": True,
    }
    place: dict[str, Any] = {"connection": connection}
    if connection is None:
        place = {"dialect_name": "postgresql", "literal_binds": True}
    context.configure(**place | ours | options)
    with context.begin_transaction():
        context.run_migrations()


def _keep_references(ctx: MigrationContext, **_: Any) -> None:
    """SQLite's foreign keys are off while tables are rebuilt, so look at them before the commit."""
    if ctx.dialect.name == "sqlite" and ctx.connection and not ctx.as_sql:
        lost = ctx.connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if lost:
            raise MigrationError(
                f"{len(lost)} rows would be left without the row they belong to, "
                f"the first in {lost[0][0]}: nothing was changed."
            )


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    """Write a type or a server default so that the file needs no import of ours and runs on both databases."""
    if kind == "server_default":
        return _render_default(getattr(item, "arg", item))
    if kind != "type" or item._variant_mapping:
        return False
    if isinstance(item, sa.TypeDecorator):
        return _repr_type(item.impl_instance, autogen)
    if isinstance(item, postgresql.JSONB):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return "postgresql.JSONB()"
    if type(item) is sa.CHAR and item.length == 32:  # how SQLite keeps a Uuid
        return "sa.Uuid()"
    if type(item).__name__ == "DATETIME":  # SQLite forgets the time zone
        return "sa.DateTime(timezone=True)"
    if type(item) in (sa.VARCHAR, sa.BOOLEAN, sa.NUMERIC, sa.INTEGER, sa.BIGINT) or isinstance(
        item, postgresql.TIMESTAMP | postgresql.DOUBLE_PRECISION
    ):
        return _repr_type(item.as_generic(), autogen)
    return False


def _render_default(value: Any) -> str | Literal[False]:
    match value:
        case sa.True_() | sa.False_():
            return f"sa.{value}()"
        case sa.Function() if not list(value.clauses):
            return f"sa.func.{value.name}()"
        case sa.TextClause():
            return f"sa.text({plain_sql(value.text)!r})"
    return False
