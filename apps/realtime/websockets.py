"""The sockets, under /realtime: a room both ways, and an echo."""

from typing import Any, Literal

from fastapi import APIRouter, WebSocket
from pydantic import BaseModel, TypeAdapter

from apps.realtime.conf import RealtimeSettings
from apps.realtime.feeds import Feeds
from apps.realtime.following import drawing, murmur_typing, place, present
from apps.realtime.schemas import MessageCreate, Slug
from apps.realtime.services import get_room, topic
from project.core import CurrentRuntime, NotFound
from project.core.live import Event
from project.core.live.hubs import as_json
from project.core.web.deps import CurrentLimiter, SignedIn
from project.core.web.sockets import socket

router = APIRouter()


class Said(MessageCreate):
    """A frame that says something in the room."""

    type: Literal["message"]


class Typing(BaseModel):
    """A frame that tells the others that one is writing."""

    type: Literal["typing"]


FRAME: TypeAdapter[Said | Typing] = TypeAdapter(Said | Typing)


@router.websocket("/rooms/{slug}/ws")
async def talk(
    websocket: WebSocket, slug: Slug, user: SignedIn, runtime: CurrentRuntime, limiter: CurrentLimiter
) -> None:
    """Follow a room and speak in it; `?after=<id>` goes on after a message, `?format=html` draws as the page does."""

    async def received(frame: dict[str, Any]) -> Event | None:
        said = FRAME.validate_python(frame)
        if isinstance(said, Typing):
            await murmur_typing(runtime, user, slug)
            return None
        await limiter.hit("realtime.message", str(user.id), runtime.conf(RealtimeSettings).MESSAGE_RATE)
        await feed.desk.say(user, slug, said.body)
        return None

    async with runtime.unit_of_work(write=False) as db:
        room = await get_room(db, user, slug)
    async with runtime.find(Feeds).follow(room.id) as feed:
        start = feed.newest
        draw = drawing(websocket.app.state.templates)
        html = websocket.query_params.get("format") == "html"

        async def since(last: str) -> list[Event]:
            try:
                await feed.hear()
                at = place(last, start)
                return await feed.since(at if at <= feed.newest else start)
            except NotFound:
                return []

        async def render(event: Event) -> str:
            return feed.drawn(event, draw)

        await socket(
            websocket,
            runtime,
            topic(room.id),
            since=since,
            start=str(start),
            render=render,
            received=received,
            during=present(websocket, runtime, user, room, draw if html else as_json),
        )


@router.websocket("/echo")
async def echo(websocket: WebSocket, user: SignedIn, runtime: CurrentRuntime) -> None:
    """Say it again."""

    async def answer(text: str) -> str:
        return f"echo: {text}"

    await socket(websocket, runtime, "realtime.echo", answer=answer)
