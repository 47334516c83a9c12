"""Events of the probe app: published in a unit of work that may fail, kept, and streamed."""

from typing import Any

from fastapi import APIRouter, Request, Response, WebSocket
from pydantic import BaseModel

from project.core import DB, Conflict, CurrentRuntime, NotFound, render
from project.core.live import Event, notify, publish, stream
from project.core.web.deps import SignedIn
from project.core.web.sockets import socket
from tests.core.probe.models import Child

TOPIC = "probe/events"
LAST = {"state": False, "made": False, "bell": False, "done": True}
KEPT: list[Event] = []  # what a table would hold
PORTION = 2
ASKED: list[str] = []  # what came last, each time that the log was asked
api = APIRouter()
pages = APIRouter()
sockets = APIRouter()
LIKES: dict[str, int] = {}  # {name: how many}
RENDERED: list[str] = []  # of each event that became HTML, its type and id


class Told(BaseModel):
    """What to publish, and whether the commit shall fail."""

    types: list[str]
    fail: bool = False


class Said(BaseModel):
    """What a client may say."""

    body: str


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


@pages.get("/likes/{name}", name="probe:likes")
async def likes(request: Request, name: str) -> Response:
    """How many like it: a live block until there are three; nothing is there that nobody has begun to count."""
    if name not in LIKES:
        raise NotFound
    return render(request, "probe/likes.html", {"name": name, "likes": LIKES[name]})


@api.post("/say")
async def say(data: Said, db: DB, user: SignedIn, fail: bool = False) -> None:
    """Tell whoever asks what they said."""
    await notify(db, user, data.body, "success", "/probe/likes/it")
    if fail:
        db.add(Child(parent_id=999))


@pages.get("/happening")
async def happening(request: Request, runtime: CurrentRuntime) -> Response:
    """The same as HTML, of several lines."""

    async def snapshot() -> list[Event]:
        return [Event("state")]

    async def render(event: Event) -> str:
        return f"<b>\n{event.type}\r\n\rdata: forged</b>"

    return stream(request, runtime, TOPIC, snapshot=snapshot, render=render)


async def draw(event: Event) -> str:
    """The event as HTML; a whisper looks like nothing."""
    RENDERED.append(f"{event.type} {event.id}".strip())
    return "" if event.type == "whisper" else f"<p>{event.type}</p>"


async def kept_since(last: str) -> list[Event]:
    """What is kept after an id, a few at a time."""
    ASKED.append(last)
    ids = ["", *(event.id for event in KEPT)]
    start = ids.index(last)
    return KEPT[start : start + PORTION]


@sockets.websocket("/state")
async def state_socket(websocket: WebSocket, runtime: CurrentRuntime) -> None:
    """State first, then what happens."""

    async def snapshot() -> list[Event]:
        return [Event("state", {"kept": len(KEPT)})]

    await socket(websocket, runtime, TOPIC, snapshot=snapshot, render=draw)


@sockets.websocket("/log")
async def log_socket(websocket: WebSocket, runtime: CurrentRuntime) -> None:
    """What is kept, for everybody."""
    await socket(websocket, runtime, TOPIC, since=kept_since, render=draw)


@sockets.websocket("/talk")
async def talk_socket(websocket: WebSocket, runtime: CurrentRuntime, user: SignedIn) -> None:
    """What is kept, and what is said; only for who is signed in."""

    async def received(frame: dict[str, Any]) -> Event | None:
        said = Said.model_validate(frame)
        if said.body == "twin":
            raise Conflict("There is one like this already.", field="body")
        if said.body == "bug":
            raise RuntimeError("password=hunter2-hunter2")
        KEPT.append(Event("said", {"body": said.body, "by": user.email}, id=str(len(KEPT) + 1)))
        await runtime.bus.publish(TOPIC, KEPT[-1])
        return Event("heard")

    await socket(websocket, runtime, TOPIC, since=kept_since, render=draw, received=received)
