"""What the walks through the whole site have to know of the fetcher."""

from uuid import UUID

from apps.accounts import User
from apps.fetcher.models import Batch
from project.core import AsyncSession

PUBLIC = {"GET /fetcher"}  # leads on to an address that asks who is there
EXAMPLE = {
    "title": "Mine",
    "urls": ["http://a.example/"],
    "per_host": 2,
    "delay": 0,
    "url_seconds": 5,
    "retries": 0,
}


async def add_batch(db: AsyncSession, owner: User) -> UUID:
    """A batch of theirs, waiting."""
    row = Batch(title="Hush", owner_id=owner.id, total=1)
    db.add(row)
    return row.id


ROWS = {"batch_id": add_batch}
