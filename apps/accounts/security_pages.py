"""The HTML voice of an account's security, part of /accounts: devices, API tokens, what happened."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from apps.accounts import api_tokens, events, sessions
from apps.accounts.identity import InPerson
from apps.accounts.schemas import ApiTokenCreate, SessionRead
from project.core import (
    DB,
    AsyncSession,
    CurrentRuntime,
    Form,
    PageNumber,
    Principal,
    Runtime,
    Submitted,
    on_invalid,
    redirect,
    render,
)
from project.core.web.htmx import is_htmx

SIZE = 20
router = APIRouter()
RowId = Annotated[UUID, Path(description="Which one.")]
PRIVATE = {"Cache-Control": "no-store"}


@router.get("/sessions", name="accounts:sessions")
async def show_sessions(
    request: Request, runtime: CurrentRuntime, db: DB, user: InPerson, page: PageNumber = 1
) -> Response:
    """Where one is signed in."""
    return render(request, "accounts/sessions.html", await _devices(db, runtime, user, page), block="devices")


@router.post("/sessions/{session_id}/end", name="accounts:end_session")
async def end_session(request: Request, session_id: RowId, runtime: CurrentRuntime, db: DB, user: InPerson) -> Response:
    """Sign a device out; htmx gets the list without it."""
    await sessions.end_one(db, user, session_id, request)
    return await _devices_again(request, db, runtime, user, "The device is logged out.")


@router.post("/sessions/end-others", name="accounts:end_other_sessions")
async def end_other_sessions(request: Request, runtime: CurrentRuntime, db: DB, user: InPerson) -> Response:
    """Sign all other devices out."""
    await sessions.end_mine(db, user, request)
    return await _devices_again(request, db, runtime, user, "All other devices are logged out.")


async def _devices_again(request: Request, db: AsyncSession, runtime: Runtime, user: Principal, said: str) -> Response:
    if not is_htmx(request):
        return redirect("accounts:sessions", flash=said)
    shown = await _devices(db, runtime, user, 1)
    return render(request, "accounts/sessions.html", shown, block="devices", flash=said)


async def _devices(db: AsyncSession, runtime: Runtime, user: Principal, page: int) -> dict[str, Any]:
    found = await sessions.list_sessions(db, runtime, user, limit=SIZE, offset=SIZE * (page - 1))
    return {"devices": found, "items": [SessionRead.of(row, user.session_id) for row in found.items]}


@router.get("/tokens", name="accounts:tokens")
async def show_tokens(request: Request, db: DB, user: InPerson, page: PageNumber = 1) -> Response:
    """One's API tokens."""
    found = await api_tokens.list_tokens(db, user, limit=SIZE, offset=SIZE * (page - 1))
    return render(request, "accounts/tokens.html", {"tokens": found}, block="tokens")


@router.get("/tokens/new", name="accounts:new_token")
async def token_form(request: Request, user: InPerson) -> Response:
    """The form for a new one."""
    return render(request, "accounts/token_form.html", {"form": Form(ApiTokenCreate)})


@router.post("/tokens/new")
@on_invalid("accounts/token_form.html")
async def make_token(request: Request, data: Submitted[ApiTokenCreate], db: DB, user: InPerson) -> Response:
    """Make it, and show it this once."""
    row, token = await api_tokens.make(db, user, data, request)
    shown = {"token": token, "row": row}
    said = "Copy the token now: it is not shown again."
    return render(request, "accounts/token_form.html", shown, block="form", headers=PRIVATE, flash=said)


@router.post("/tokens/{token_id}/revoke", name="accounts:revoke_token")
async def revoke_token(request: Request, token_id: RowId, db: DB, user: InPerson) -> Response:
    """Revoke one; htmx gets the list without it."""
    await api_tokens.revoke(db, user, token_id, request)
    said = "The token is revoked."
    if not is_htmx(request):
        return redirect("accounts:tokens", flash=said)
    found = await api_tokens.list_tokens(db, user, limit=SIZE)
    return render(request, "accounts/tokens.html", {"tokens": found}, block="tokens", flash=said)


@router.get("/activity", name="accounts:activity")
async def show_activity(request: Request, db: DB, user: InPerson, page: PageNumber = 1) -> Response:
    """What happened to one's account."""
    found = await events.list_events(db, user, limit=SIZE, offset=SIZE * (page - 1))
    return render(request, "accounts/activity.html", {"events": found})
