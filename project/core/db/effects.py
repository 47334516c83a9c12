"""Effects that happen once: a row for each, written in the transaction of the effect itself."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, col, select

from project.core.db.models import Model, now
from project.core.db.session import AsyncSession


class Effect(Model, table=True):
    """What was answered when the effect with this key happened; a second one is refused by the database."""

    __tablename__ = "core_effect"
    __transient__ = True

    key: str = Field(max_length=64, unique=True)
    answer: dict[str, Any] = Field(sa_type=sa.JSON)
    created_at: datetime = Field(default_factory=now, index=True)


async def add_effect(db: AsyncSession, key: str, answer: dict[str, Any]) -> None:
    """Write the row; raises IntegrityError when the effect has happened already, perhaps this very moment."""
    db.add(Effect(key=key, answer=answer))
    await db.flush()


async def find_effect(db: AsyncSession, key: str) -> dict[str, Any] | None:
    """What was answered, or None when there was no such effect."""
    answer: dict[str, Any] | None = await db.scalar(select(Effect.answer).where(col(Effect.key) == key))
    return answer
