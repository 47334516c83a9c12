"""Answers that go on: a batch as a stream of events, and its results as a file."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from apps.fetcher.models import ENDED
from apps.fetcher.outcomes import Outcome
from apps.fetcher.results import EXPORTED, PORTION, arrived, walk
from apps.fetcher.schemas import BatchRead, FetchRead
from apps.fetcher.services import get_batch, topic
from project.core import NotFound, Principal, Runtime
from project.core.live import Event, stream
from project.core.web.downloads import TYPES, Format, download

GONE = Event("deleted")
TEXT = {"schema": {"type": "string"}}
AS_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(TYPES.values(), TEXT), "description": "The file."}
}


async def follow(request: Request, runtime: Runtime, user: Principal, batch_id: UUID) -> Response:
    """The events of a batch as JSON until it ends; an event's id counts the results up to it. Raises NotFound."""
    told: BatchRead | None = None

    async def since(last: str) -> Sequence[Event]:
        nonlocal told
        after = int(last) if last.isascii() and last.isdigit() and len(last) < 10 else 0
        try:
            async with runtime.unit_of_work(write=False) as db:
                # The batch first: when it is done, all of its results are there to be read.
                batch = BatchRead.model_validate(await get_batch(db, user, batch_id))
                rows = await arrived(db, batch_id, after)
                found = [
                    Event("result", FetchRead.model_validate(row).model_dump(mode="json"), str(row.arrival))
                    for row in rows
                ]
        except NotFound:
            return [GONE]
        if batch != told and len(rows) < PORTION:
            told = batch
            found.append(Event("batch", batch.model_dump(mode="json"), found[-1].id if found else last))
        return found

    async with runtime.unit_of_work(write=False) as db:
        await get_batch(db, user, batch_id)
    return stream(request, runtime, topic(batch_id), since=since, until=_is_last)


def _is_last(event: Event) -> bool:
    return event == GONE or (event.type == "batch" and event.data["status"] in ENDED)


async def exported(
    runtime: Runtime, user: Principal, batch_id: UUID, kind: Format, q: str, outcome: Outcome | None
) -> Response:
    """The results as a file, however many. Raises NotFound."""
    async with runtime.unit_of_work(write=False) as db:
        batch = await get_batch(db, user, batch_id)
    name = f"{batch.title or 'batch'} {batch.created_at:%Y-%m-%d}"
    return download(name, kind, EXPORTED, walk(runtime, batch_id, q=q, outcome=outcome))
