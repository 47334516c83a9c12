"""The JSON voice, under /api/v1/realtime."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request, Response, status
from starlette.responses import StreamingResponse

from apps.accounts import CurrentUser
from apps.realtime import messages, services
from apps.realtime.following import follow
from apps.realtime.people import people_of
from apps.realtime.rates import message_rate, room_rate
from apps.realtime.schemas import (
    After,
    Before,
    Invitation,
    MessageCreate,
    MessageRead,
    Mine,
    Order,
    Presence,
    RoomCreate,
    RoomRead,
    Search,
    Slug,
    Sort,
)
from project.core import DB, CurrentRuntime, Limit, Offset, Page
from project.core.live.streams import AS_EVENTS

router = APIRouter()


@router.get("/rooms")
async def list_rooms(
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    q: Search = "",
    mine: Mine = False,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[RoomRead]:
    """List the rooms that you may see, those with the latest message first."""
    found = await services.list_rooms(db, user, q=q, mine=mine, limit=limit, offset=offset)
    read = {each.slug: each for each in await services.read_rooms(db, user, found.items)}
    return Page[RoomRead].of(found, lambda room: read[room.slug], request, response)


@router.post("/rooms", status_code=status.HTTP_201_CREATED, dependencies=[Depends(room_rate)])
async def create_room(
    data: Annotated[RoomCreate, Body(description="The room.")],
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
) -> RoomRead:
    """Open a room."""
    room = await services.create_room(db, user, data)
    response.headers["Location"] = str(request.app.url_path_for("get_room", slug=room.slug))
    return await services.read_room(db, user, room)


@router.get("/rooms/{slug}")
async def get_room(slug: Slug, db: DB, user: CurrentUser) -> RoomRead:
    """Show a room."""
    return await services.read_room(db, user, await services.get_room(db, user, slug))


@router.post("/rooms/{slug}/join")
async def join_room(slug: Slug, db: DB, user: CurrentUser) -> RoomRead:
    """Belong to a room."""
    return await services.read_room(db, user, await services.join(db, user, slug))


@router.post("/rooms/{slug}/leave", status_code=status.HTTP_204_NO_CONTENT)
async def leave_room(slug: Slug, db: DB, user: CurrentUser) -> None:
    """Belong to a room no more; what you follow of a private one ends."""
    await services.leave(db, user, slug)


@router.post("/rooms/{slug}/members", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Depends(room_rate)])
async def invite(
    slug: Slug, data: Annotated[Invitation, Body(description="The person.")], db: DB, user: CurrentUser
) -> None:
    """Let somebody into your room; the answer is the same whether they have an account or not."""
    await services.invite(db, user, slug, data.email)


@router.get("/rooms/{slug}/messages")
async def list_messages(
    slug: Slug,
    request: Request,
    response: Response,
    db: DB,
    user: CurrentUser,
    after: After = 0,
    before: Before = None,
    sort: Order = Sort.OLDEST,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[MessageRead]:
    """List what was said in a room."""
    found = await messages.list_messages(
        db, user, slug, after=after, before=before, sort=sort, limit=limit, offset=offset
    )
    return Page[MessageRead].of(found, lambda message: message, request, response)


@router.post("/rooms/{slug}/messages", status_code=status.HTTP_201_CREATED, dependencies=[Depends(message_rate)])
async def post_message(
    slug: Slug, data: Annotated[MessageCreate, Body(description="What you say.")], db: DB, user: CurrentUser
) -> MessageRead:
    """Say something in a room; in a public one you belong to it from then on."""
    return await messages.post_message(db, user, slug, data.body)


@router.get("/rooms/{slug}/presence")
async def list_people(slug: Slug, db: DB, user: CurrentUser) -> Presence:
    """Tell who is in a room right now: who follows it, by a page, a stream or a socket."""
    return await people_of(db, user, slug)


@router.get("/rooms/{slug}/events", response_class=StreamingResponse, responses=AS_EVENTS)
async def events(slug: Slug, request: Request, user: CurrentUser, runtime: CurrentRuntime) -> Response:
    """Follow a room: `message` and `deleted` as they happen; without an id, `presence` and `typing`.

    Come back with `Last-Event-ID`, or begin with `?last_event_id=`, and you get what you have missed, each once.
    """
    return await follow(request, runtime, user, slug)
