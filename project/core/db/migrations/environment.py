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
from alembic.ddl.impl import ComparisonResult, DefaultImpl
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.ddl.sqlite import SQLiteImpl
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import ScriptDirectory

from project.core.conf import ROOT
from project.core.db import audit as _audit, effects as _effects  # noqa: F401 - makes them known, whichever apps there are
from project.core.db.migrations.applying import connect
from project.core.db.migrations.history import MigrationError
from project.core.db.models import metadata

logging.getLogger("alembic").setLevel(logging.WARNING)
CAST = re.compile(r"::[a-z]+( [a-z]+)*(\([\d, ]+\))?(\[\])?")  # as PostgreSQL writes 'x'::character varying

GENERIC = {"VARCHAR", "BOOLEAN", "NUMERIC", "INTEGER", "BIGINT", "UUID", "TIMESTAMP", "DOUBLE_PRECISION"}


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
    __dialect__ = "sqlite"
    transactional_ddl = True


def plain_sql(written: str) -> str:
    """SQL read back from PostgreSQL as both databases understand it."""
    return re.sub(r"= ANY \(ARRAY\[(.*?)\]\)", r"IN (\1)", CAST.sub("", written))


def _values(condition: str) -> set[str]:
    return set(re.findall(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", plain_sql(condition)))


class Environment:
    """A folder of revisions as Alembic sees it, with the options of pyproject.toml."""

    def __init__(self, folder: Path) -> None:
        self.written = StringIO()
        self.config = Config(toml_file=ROOT / "pyproject.toml", output_buffer=self.written)
        self.config.set_main_option("script_location", str(folder).replace("%", "%%"))
        self.script = ScriptDirectory.from_config(self.config)
        self.script.messaging_opts = {"quiet": True}

    def step(self, id: str, backwards: bool) -> MigrationStep:
        """One revision as Alembic runs it."""
        make = MigrationStep.downgrade_from_script if backwards else MigrationStep.upgrade_from_script
        return make(self.script.revision_map, self.script.get_revision(id))

    def run(
        self, work: Callable[..., Iterable[MigrationStep]], connection: sa.Connection | None, **options: Any
    ) -> None:
        """Run the steps of `work` on the connection; without one PostgreSQL's SQL is `written`."""
        self.config.attributes["connection"] = connection
        with EnvironmentContext(self.config, self.script, fn=work, **options):
            self.script.run_env()


def enter(find_url: Callable[[], sa.URL]) -> None:
    """What migrations/env.py calls. Under the plain `alembic` command nobody has opened a connection yet."""
    if "connection" in context.config.attributes:
        _migrate(context.config.attributes["connection"])
    else:
        asyncio.run(_alone(find_url()))


async def _alone(url: sa.URL) -> None:
    async with connect(url) as connection:
        await connection.run_sync(_migrate)


def _migrate(connection: sa.Connection | None) -> None:
    offline: dict[str, Any] = {} if connection else {"dialect_name": "postgresql", "literal_binds": True}
    ours: dict[str, Any] = {"on_version_apply": _keep_references, "transaction_per_migration": True}
    context.configure(connection, target_metadata=metadata, **ours, **offline)
    with context.begin_transaction():
        context.run_migrations()


def _keep_references(ctx: MigrationContext, *_: Any, **__: Any) -> None:
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
    match type(item).__name__:
        case "CHAR" if item.length == 32:  # how SQLite keeps a Uuid
            return "sa.Uuid()"
        case "DATETIME":  # SQLite forgets the time zone
            return "sa.DateTime(timezone=True)"
        case "JSONB":
            return "postgresql.JSONB()"
        case name if name in GENERIC:
            return _repr_type(item.as_generic(), autogen)
    return _repr_type(item.impl_instance, autogen) if isinstance(item, sa.TypeDecorator) else False


def _render_default(value: Any) -> str | Literal[False]:
    match value:
        case sa.True_() | sa.False_():
            return f"sa.{value}()"
        case sa.Function() if not list(value.clauses):
            return f"sa.func.{value.name}()"
        case sa.TextClause():
            return f"sa.text({plain_sql(value.text)!r})"
    return False
