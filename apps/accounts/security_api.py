"""The JSON voice of an account's security, part of /api/v1/accounts: sessions, API tokens, what happened.

All of it is for people themselves: an API token is refused here.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Request, Response, status

from apps.accounts import api_tokens, events, sessions
from apps.accounts.identity import InPerson, clear_cookie
from apps.accounts.schemas import ApiTokenCreate, ApiTokenMade, ApiTokenRead, EventRead, SessionRead
from project.core import DB, CurrentRuntime, Limit, Offset, Page

router = APIRouter()
SessionId = Annotated[UUID, Path(description="The session's id.")]
TokenId = Annotated[UUID, Path(description="The token's id.")]


@router.get("/sessions")
async def list_sessions(
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    db: DB,
    user: InPerson,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Page[SessionRead]:
    """List where you are signed in: this session first, then the one used last."""
    found = await sessions.list_sessions(db, runtime, user, limit=limit, offset=offset)
    return Page[SessionRead].of(found, lambda row: SessionRead.of(row, user.session_id), request, response)


@router.delete("/sessions", status_code=status.HTTP_204_NO_CONTENT)
async def end_other_sessions(request: Request, db: DB, user: InPerson) -> None:
    """End every session of yours but this one."""
    await sessions.end_mine(db, user, request)


@router.delete("/sessions/{session_id}", status_code=status.HTTP_204_NO_CONTENT)
async def end_session(
    session_id: SessionId, request: Request, response: Response, runtime: CurrentRuntime, db: DB, user: InPerson
) -> None:
    """End a session of yours; ending this one logs you out."""
    await sessions.end_one(db, user, session_id, request)
    if session_id == user.session_id:
        clear_cookie(response, runtime)


@router.get("/api-tokens")
async def list_api_tokens(
    request: Request, response: Response, db: DB, user: InPerson, limit: Limit = 10, offset: Offset = 0
) -> Page[ApiTokenRead]:
    """List your API tokens, the newest first; the tokens themselves are not kept."""
    found = await api_tokens.list_tokens(db, user, limit=limit, offset=offset)
    return Page[ApiTokenRead].of(found, ApiTokenRead.model_validate, request, response)


@router.post("/api-tokens", status_code=status.HTTP_201_CREATED)
async def make_api_token(
    data: Annotated[ApiTokenCreate, Body(description="What it is for and what it may do.")],
    request: Request,
    response: Response,
    db: DB,
    user: InPerson,
) -> ApiTokenMade:
    """Make an API token; this answer is the only one that holds it."""
    row, token = await api_tokens.make(db, user, data, request)
    response.headers["Cache-Control"] = "no-store"
    return ApiTokenMade(**ApiTokenRead.model_validate(row).model_dump(), token=token)


@router.delete("/api-tokens/{token_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_api_token(token_id: TokenId, request: Request, db: DB, user: InPerson) -> None:
    """Revoke an API token of yours; it counts no more from this moment."""
    await api_tokens.revoke(db, user, token_id, request)


@router.get("/events")
async def list_events(
    request: Request, response: Response, db: DB, user: InPerson, limit: Limit = 10, offset: Offset = 0
) -> Page[EventRead]:
    """List what happened to your account, the newest first."""
    found = await events.list_events(db, user, limit=limit, offset=offset)
    return Page[EventRead].of(found, EventRead.model_validate, request, response)
