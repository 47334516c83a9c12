"""Events of the probe app: published in a unit of work that may fail, kept, and streamed."""

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from project.core import DB, CurrentRuntime
from project.core.live import Event, publish, stream
from tests.core.probe.models import Child

TOPIC = "probe/events"
LAST = {"state": False, "made": False, "done": True}
KEPT: list[Event] = []  # what a table would hold
PORTION = 2
ASKED: list[str] = []  # what came last, each time that the log was asked
api = APIRouter()
pages = APIRouter()


class Told(BaseModel):
    """What to publish, and whether the commit shall fail."""

    types: list[str]
    fail: bool = False


@api.post("/tell")
async def tell(data: Told, db: DB) -> None:
    """Publish in a unit of work."""
    for word in data.types:
        await publish(db, TOPIC, Event(word))
    if data.fail:
        db.add(Child(parent_id=999))


@api.get("/events")
async def events(request: Request, runtime: CurrentRuntime) -> Response:
    """State first, then what happens; `done` is the last."""

    async def snapshot() -> list[Event]:
        return [Event("state", {"kept": len(KEPT)})]

    async def replay(last: str) -> list[Event] | None:
        ids = [event.id for event in KEPT]
        return KEPT[ids.index(last) + 1 :] if last in ids else None

    return stream(request, runtime, TOPIC, snapshot=snapshot, replay=replay, until=lambda event: LAST[event.type])


@api.get("/log")
async def log(request: Request, runtime: CurrentRuntime, endless: bool = False) -> Response:
    """What is kept, a few at a time; `done` is the last."""

    async def since(last: str) -> list[Event]:
        ASKED.append(last)
        ids = ["", *(event.id for event in KEPT)]
        start = ids.index(last)
        return KEPT[start : start + PORTION] or [event for event in KEPT[-1:] if event.type == "done"]

    return stream(request, runtime, TOPIC, since=since, until=None if endless else lambda event: LAST[event.type])


@pages.get("/happening")
async def happening(request: Request, runtime: CurrentRuntime) -> Response:
    """The same as HTML, of several lines."""

    async def snapshot() -> list[Event]:
        return [Event("state")]

    async def render(event: Event) -> str:
        return f"<b>\n{event.type}\r\n\rdata: forged</b>"

    return stream(request, runtime, TOPIC, snapshot=snapshot, render=render)
