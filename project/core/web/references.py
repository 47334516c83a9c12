"""Fields that refer to other rows: what a form offers for them, and what somebody may put into them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlmodel.sql.expression import SelectOfScalar

from project.core.db.session import AsyncSession
from project.core.errors import Invalid

MOST = 200  # that a select offers
References = dict[str, SelectOfScalar[Any]]
"""{field: the rows that may be chosen for it}"""


async def choices(db: AsyncSession, references: References) -> dict[str, dict[str, str]]:
    """{field: {id: words}} of the latest rows that may be chosen; for `Form(…, choices=…)`."""
    found = {}
    for name, rows in references.items():
        model: Any = rows.column_descriptions[0]["entity"]
        latest = rows.order_by(model.id.desc()).limit(MOST)
        found[name] = {str(row.id): str(row) for row in (await db.exec(latest)).all()}
    return found


async def check_references(db: AsyncSession, references: References, values: Mapping[str, Any]) -> None:
    """Raises Invalid, at its field, for a row that is not among those that may be chosen."""
    for name, rows in references.items():
        wanted: UUID | None = values.get(name)
        model: Any = rows.column_descriptions[0]["entity"]
        if wanted is not None and (await db.exec(rows.where(model.id == wanted))).first() is None:
            raise Invalid("There is nothing like that to choose.", field=name)
