"""Answers: what a person says where a guess could lose data, and values as both databases read them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from project.core.db.migrations.history import MigrationError


@dataclass
class Answers:
    """What a person says when a guess could lose data. Without `confirm` and `prompt` nobody is there to ask.

    Args:
        renames: {"table.old": "new"} for columns, {"old": "new"} for tables, known beforehand.
        rename_others: False means that nothing else was renamed.
        defaults: {"table.column": value} for rows that exist when a NOT NULL column is added.
        confirm, prompt: ask a yes-or-no question, ask for a value.
        settle: False only looks at differences and asks nothing.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    rename_others: bool | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    confirm: Callable[[str], bool] | None = None
    prompt: Callable[[str], str] | None = None
    settle: bool = True

    def renamed(self, old: str, new: str, likely: bool) -> bool:
        """Was `old` renamed to `new`? Raises MigrationError when nobody can say."""
        if old in self.renames or not likely or self.rename_others is False or not self.settle:
            return self.renames.get(old) == new
        if self.confirm is None:
            raise MigrationError(
                f"Was {old} renamed to {new}? Dropping it would lose its data, and nobody is here to answer: "
                f"add --rename {old}:{new}, or --no-rename."
            )
        return self.confirm(f"Was {old} renamed to {new}?")

    def default(self, table: str, column: sa.Column[Any]) -> Any:
        """The server default for the rows that exist: the model's own, or asked for. Raises MigrationError."""
        if isinstance(column.default, sa.ColumnDefault):
            value = _portable(column.default.arg, column.type)
            if value is not None:
                return value
        name = f"{table}.{column.name}"
        text = self.defaults.get(name) or self._prompted(name)
        kind = column.type.python_type
        try:
            return _portable(TypeAdapter(kind).validate_python(text), column.type)
        except ValidationError:
            raise MigrationError(f"{text!r} is no {kind.__name__}, which {name} takes.", 2) from None

    def _prompted(self, column: str) -> str:
        if self.prompt is None:
            raise MigrationError(
                f"{column} is NOT NULL and has no default for the rows that exist: give it a default in the model, "
                f"make it optional, or add --default {column}=VALUE for those rows."
            )
        return self.prompt(f"{column} is NOT NULL. Value for the rows that exist")


def _portable(value: Any, kind: sa.types.TypeEngine[Any]) -> Any:
    """A server default that both databases read alike; None when the value has no such form."""
    if isinstance(kind, sa.Enum) and kind.enum_class:
        return kind.enums[[*kind.enum_class].index(value)]
    match value:
        case bool():
            return sa.true() if value else sa.false()
        case datetime():
            return (value.astimezone(UTC) if value.tzinfo else value).strftime("%Y-%m-%d %H:%M:%S.%f")
        case UUID():
            return value.hex
        case dict() | list():
            return json.dumps(value)
        case str() | int() | float() | Decimal() | date():
            return str(value)
    return None
