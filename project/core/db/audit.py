"""The history of what staff changes: one row for each change, in the change's own transaction."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field

from project.core.db.models import Model, now


class AuditEntry(Model, table=True):
    """Who did what to which row, and each field before and after; all of it as text, so that it outlives them.

    `kind` is the name of the row's table, `changes` is `{field: [before, after]}`.
    """

    __tablename__ = "core_audit_entry"
    __table_args__ = (sa.Index("ix_core_audit_entry_kind_row_id", "kind", "row_id"),)

    at: datetime = Field(default_factory=now)
    actor_id: UUID = Field(index=True)
    actor: str = Field(max_length=320)
    action: str = Field(max_length=100)
    kind: str = Field(max_length=100)
    row_id: str = Field(max_length=200)
    words: str = Field(max_length=200)
    changes: dict[str, Any] = Field(sa_type=sa.JSON)
    request_id: str = Field(default="", max_length=64)

    def __str__(self) -> str:
        return f"{self.action} {self.words}"
