"""The HTML voice, under /realtime."""

from typing import Any

from fastapi import APIRouter, Depends, Request, Response, status

from apps.accounts import CurrentUser
from apps.realtime import messages, services
from apps.realtime.following import PAGE, drawing, follow, murmur_typing
from apps.realtime.people import people_in
from apps.realtime.rates import message_rate, room_rate
from apps.realtime.schemas import (
    Before,
    Invitation,
    MessageCreate,
    RoomCreate,
    Search,
    Slug,
    Sort,
    name_of,
)
from project.core import (
    DB,
    AsyncSession,
    CurrentRuntime,
    Form,
    PageNumber,
    Principal,
    Submitted,
    on_invalid,
    redirect,
    render,
)
from project.core.errors import NotAuthenticated
from project.core.identity import principal
from project.core.web.deps import CurrentLimiter
from project.core.web.htmx import is_htmx

SIZE = 20
TYPING_RATE = "60/minute"
SHOWN = 50  # messages at once
router = APIRouter()


@router.get("", name="realtime:home")
async def home() -> Response:
    """The short address."""
    return redirect("realtime:list")


@router.get("/rooms", name="realtime:list")
async def list_rooms(request: Request, db: DB, user: CurrentUser, q: Search = "", page: PageNumber = 1) -> Response:
    """The rooms with the latest message first."""
    rooms = await services.list_rooms(db, user, q=q, limit=SIZE, offset=SIZE * (page - 1))
    joined = {each.slug for each in await services.read_rooms(db, user, rooms.items) if each.joined}
    return render(request, "realtime/room_list.html", {"rooms": rooms, "joined": joined, "q": q}, block="rows")


@router.get("/rooms/new", name="realtime:new")
async def new_room(request: Request, user: CurrentUser) -> Response:
    """The form."""
    return render(request, "realtime/room_form.html", {"form": Form(RoomCreate)})


@router.post("/rooms/new", dependencies=[Depends(room_rate)])
@on_invalid("realtime/room_form.html")
async def create_room(data: Submitted[RoomCreate], db: DB, user: CurrentUser) -> Response:
    """Open it."""
    room = await services.create_room(db, user, data)
    return redirect("realtime:room", slug=room.slug, flash="The room is open.")


@router.get("/rooms/{slug}", name="realtime:room")
async def show_room(request: Request, slug: Slug, db: DB, user: CurrentUser, before: Before = None) -> Response:
    """What is said in it: the latest, and what came before for whoever scrolls up."""
    shown = await _shown(db, user, slug, before)
    return render(request, PAGE, shown | {"form": Form(MessageCreate)}, block="messages")


async def _room_again(request: Request) -> dict[str, Any]:
    """The room around a message that was refused."""
    user = await principal(request)
    if user is None:
        raise NotAuthenticated
    async with request.app.state.runtime.unit_of_work(write=False) as db:
        return await _shown(db, user, request.path_params["slug"])


@router.post("/rooms/{slug}", dependencies=[Depends(message_rate)])
@on_invalid(PAGE, block="notes", context=_room_again)
async def post_message(
    request: Request, slug: Slug, data: Submitted[MessageCreate], db: DB, user: CurrentUser
) -> Response:
    """Say something. A page that is live gets it by its stream, like everybody else."""
    await messages.post_message(db, user, slug, data.body)
    if is_htmx(request):
        return render(request, PAGE, {"form": Form(MessageCreate)}, block="notes")
    return redirect("realtime:room", slug=slug)


@router.post("/rooms/{slug}/join", name="realtime:join")
async def join_room(slug: Slug, db: DB, user: CurrentUser) -> Response:
    """Belong to it."""
    await services.join(db, user, slug)
    return redirect("realtime:room", slug=slug, flash="You have joined.")


@router.post("/rooms/{slug}/leave", name="realtime:leave")
async def leave_room(slug: Slug, db: DB, user: CurrentUser) -> Response:
    """Belong to it no more."""
    await services.leave(db, user, slug)
    return redirect("realtime:list", flash="You have left the room.")


@router.get("/rooms/{slug}/invite", name="realtime:invite")
async def ask_whom(request: Request, slug: Slug, db: DB, user: CurrentUser) -> Response:
    """The form."""
    room = await services.own_room(db, user, slug)
    return render(request, "realtime/room_invite.html", {"form": Form(Invitation), "title": room.title})


@router.post("/rooms/{slug}/invite", dependencies=[Depends(room_rate)])
@on_invalid("realtime/room_invite.html")
async def invite(slug: Slug, data: Submitted[Invitation], db: DB, user: CurrentUser) -> Response:
    """Let somebody in."""
    await services.invite(db, user, slug, data.email)
    return redirect("realtime:room", slug=slug, flash="If they have an account here, they find the room now.")


@router.post("/rooms/{slug}/typing", name="realtime:typing")
async def say_typing(slug: Slug, user: CurrentUser, runtime: CurrentRuntime, limiter: CurrentLimiter) -> Response:
    """Let the others know; nothing is saved."""
    await limiter.hit("realtime.typing", str(user.id), TYPING_RATE)
    await murmur_typing(runtime, user, slug)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.get("/rooms/{slug}/events", name="realtime:events")
async def events(request: Request, slug: Slug, user: CurrentUser, runtime: CurrentRuntime) -> Response:
    """What happens in it, as it stands on its page."""
    draw = drawing(request.app.state.templates)
    return await follow(request, runtime, user, slug, draw)


async def _shown(db: AsyncSession, user: Principal, slug: str, before: int | None = None) -> dict[str, Any]:
    # The room first: its counter says from where its stream goes on, and nothing falls between.
    room = await services.get_room(db, user, slug)
    read = await services.read_room(db, user, room)
    found = await messages.list_messages(db, user, slug, before=before, sort=Sort.LATEST, limit=SHOWN)
    return {
        "people": await people_in(db, room.id),
        "room": read,
        "owns": room.owner_id == user.id,
        "latest": room.latest,
        "messages": found.items[::-1],
        "earlier": f"?before={found.items[-1].id}" if found.total > len(found.items) else "",
        "before": before,
        "me": name_of(user.id, user.name),
        "my_id": user.id,
    }
