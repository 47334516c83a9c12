"""Revoking: who loses a session, a right or a membership is asked again on every process, at once."""

from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import HTTPConnection

from project.core.db.session import AsyncSession
from project.core.errors import DomainError, Unavailable
from project.core.identity import Principal
from project.core.live.bus import publish
from project.core.live.events import Event
from project.core.log import get_logger

if TYPE_CHECKING:
    from project.core.runtime import Runtime

log = get_logger(__name__)
REVOCATIONS = "core/revocations"
REVOKED = "core.revoked"
AT_ONCE = 500  # people in one message


async def revoke(db: AsyncSession, *user_ids: UUID, topic: str = "") -> None:
    """End, once `db` has committed, what these people follow without a right to it any more, on every process.

    Call it wherever a session ends, a password changes, an account is closed or a group may do less: each of their
    streams and sockets asks who they are, and ends unless they still are that. With a `topic`, for a lost membership:
    those on this topic end, and the others stay.
    """
    users = list(map(str, user_ids))
    for first in range(0, len(users), AT_ONCE):
        await publish(db, REVOCATIONS, Event(REVOKED, {"users": users[first : first + AT_ONCE], "topic": topic}))


def concerns(event: Event, visitor: Principal | None) -> bool:
    """Whether a revocation is about this visitor."""
    return visitor is not None and str(visitor.id) in event.data["users"]


async def still_there(runtime: "Runtime", conn: HTTPConnection, visitor: Principal | None) -> bool:
    """Whether the connection still is of whom it was; a database that is away is no reason to think otherwise."""
    authenticate = runtime.registry.authenticate
    if not visitor or not authenticate:
        return True
    try:
        return await authenticate(runtime, conn) == visitor
    except DomainError as refusal:
        return isinstance(refusal, Unavailable)
    except Exception as error:
        log.warning("nobody knows who is there", error=type(error).__name__)
        return True
