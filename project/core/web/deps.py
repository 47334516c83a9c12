"""What handlers ask for by type: the database session, the runtime, the limiter."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from sqlalchemy.exc import IntegrityError
from starlette.requests import HTTPConnection

from project.core.db.effects import add_effect
from project.core.db.session import AsyncSession
from project.core.errors import NotAuthenticated
from project.core.identity import Principal, principal
from project.core.runtime import Runtime
from project.core.signing import BadToken, Signer
from project.core.web.limits import Limiter

TICKET = "ticket."  # what a subprotocol begins with that is a ticket, and the tickets' purpose
READING = {"GET", "HEAD", "OPTIONS"}


# FastAPI calls a plain function in a thread, which costs a request more than all that these do. Keep "async".
async def current_runtime(conn: HTTPConnection) -> Runtime:
    """The runtime of this process."""
    runtime: Runtime = conn.app.state.runtime
    return runtime


async def current_limiter(conn: HTTPConnection) -> Limiter:
    """The rate limiter, shared with the other workers."""
    limiter: Limiter = conn.app.state.limiter
    return limiter


async def session(conn: HTTPConnection) -> AsyncIterator[AsyncSession]:
    """The request's unit of work: read-only for GET and HEAD, committed before the answer leaves."""
    write = conn.scope.get("method") not in READING
    async with (await current_runtime(conn)).unit_of_work(write=write) as db:
        conn.state.db = db
        yield db


async def signed_in(conn: HTTPConnection) -> Principal:
    """Whoever is signed in, whichever app says so; raises NotAuthenticated. For sockets, too, with a ticket or without.

    A ticket counts once in all processes: its id is kept as an effect.
    """
    offered = [each for each in conn.scope.get("subprotocols", ()) if each.startswith(TICKET)]
    if offered and not hasattr(conn.state, "principal"):
        signer: Signer = conn.app.state.signer
        try:
            claims = signer.read(TICKET, offered[0].removeprefix(TICKET))
            async with (await current_runtime(conn)).unit_of_work() as db:
                await add_effect(db, f"{TICKET}{claims['jti']}", {})
        except (BadToken, IntegrityError):
            raise NotAuthenticated from None
        conn.state.session_id = UUID(claims["sub"])
    user = await principal(conn)
    if user is None:
        raise NotAuthenticated
    return user


SignedIn = Annotated[Principal, Depends(signed_in)]
CurrentRuntime = Annotated[Runtime, Depends(current_runtime)]
CurrentLimiter = Annotated[Limiter, Depends(current_limiter)]

# FastAPI's default scope would close the session after the answer has left, so that a failing commit
# would follow a 200. Keep "function".
DB = Annotated[AsyncSession, Depends(session, scope="function")]

Limit = Annotated[int, Query(ge=1, le=100, description="How many items at most.")]
Offset = Annotated[int, Query(ge=0, le=1_000_000, description="How many items to pass over.")]
PageNumber = Annotated[int, Query(ge=1, le=100_000, description="The page of the list, from 1.")]
