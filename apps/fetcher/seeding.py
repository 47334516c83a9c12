"""A demo batch that has ended, with what may become of a URL."""

from uuid import NAMESPACE_URL, uuid5

from sqlmodel import select

from apps.accounts import User
from apps.fetcher.models import Batch, Fetch, Status
from apps.fetcher.outcomes import Failure, Outcome
from project.core import AsyncSession, Runtime, now

BATCH = uuid5(NAMESPACE_URL, "https://example.com/demo/batch")
PAGES = [  # URL, outcome, status, error, title
    ("https://example.com/", Outcome.OK, 200, None, "Example Domain"),
    ("https://example.com/about", Outcome.OK, 200, None, "About"),
    ("https://example.com/gone", Outcome.REFUSED, 404, None, "Not found"),
    ("https://slow.example.com/", Outcome.FAILED, None, Failure.TIMEOUT, ""),
]


async def seed(db: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Add Ann's batch, if it is not there and she is."""
    owner = (await db.exec(select(User.id).where(User.email == "ann@example.com"))).first()
    if owner is None or await db.get(Batch, BATCH) is not None:
        return {"batches": 0}
    counts = {"total": len(PAGES), "done": len(PAGES), "refused": 1, "failed": 1, "arrivals": len(PAGES)}
    batch = {"id": BATCH, "title": "A first look", "owner_id": owner, "status": Status.DONE, "ended_at": now()}
    db.add(Batch.model_validate(batch | counts))
    await db.flush()
    for number, (url, outcome, status, error, title) in enumerate(PAGES):
        page = {"content_type": "text/html", "charset": "utf-8", "size": 1256} if status else {}
        fetched = {"fetched_at": now(), "arrival": number + 1, "attempts": 1, "elapsed_ms": 80 + 40 * number}
        told = {"outcome": outcome, "status_code": status, "error": error, "title": title}
        row = {"batch_id": BATCH, "number": number, "url": url, "final_url": url if status else ""}
        db.add(Fetch.model_validate(row | fetched | told | page))
    return {"batches": 1}
