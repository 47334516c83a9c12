"""Answers: what a person says where a guess could lose data, and values as both databases read them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.dialects import sqlite

from project.core.db.migrations.history import MigrationError


@dataclass(frozen=True)
class Answers:
    """What a person says when a guess could lose data. Without `confirm` and `prompt` nobody is there to ask.

    Args:
        renames: {"table.old": "new"} for columns, {"old": "new"} for tables, known beforehand.
        defaults: {"table.column": value} for rows that exist when a NOT NULL column is added.
        confirm, prompt: ask a yes-or-no question, ask for a value.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    confirm: Callable[[str], bool] | None = None
    prompt: Callable[[str], str] | None = None

    def renamed(self, old: str, new: str, likely: bool) -> bool:
        """Was `old` renamed to `new`? Raises MigrationError when nobody can say."""
        if old in self.renames or not likely:
            return self.renames.get(old) == new
        if self.confirm is None:
            raise MigrationError(
                f"Was {old} renamed to {new}? Dropping it would lose its data, and nobody is here to answer: "
                f"add --rename {old}:{new}, or --no-rename."
            )
        return self.confirm(f"Was {old} renamed to {new}?")

    def default(self, table: str, column: sa.Column[Any]) -> Any:
        """The server default for the rows that exist: the model's own, or asked for. Raises MigrationError."""
        if isinstance(column.default, sa.ColumnDefault) and column.default.is_scalar:
            return _portable(column.default.arg, column.type)
        name, kind = f"{table}.{column.name}", undecorated(column.type).python_type
        text = self.defaults.get(name)
        if text is None:
            if self.prompt is None:
                raise MigrationError(
                    f"{name} is NOT NULL and has no default for the rows that exist: give it a default in the model, "
                    f"make it optional, or add --default {name}=VALUE for those rows."
                )
            text = self.prompt(f"{name} is NOT NULL. Value for the rows that exist")
        try:
            return _portable(TypeAdapter(kind).validate_python(text), column.type)
        except ValidationError:
            raise MigrationError(f"{text!r} is no {kind.__name__}, which {name} takes.", 2) from None


def undecorated(kind: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    """What a TypeDecorator, such as SQLModel's own types, stands for in the database."""
    return kind.impl_instance if isinstance(kind, sa.TypeDecorator) else kind


def _portable(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """The value as SQLite stores it, which PostgreSQL reads alike; its booleans apart."""
    if isinstance(value, bool):
        return sa.true() if value else sa.false()
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    store = kind.dialect_impl(dialect := sqlite.dialect()).bind_processor(dialect)
    return str(store(value) if store else value)
