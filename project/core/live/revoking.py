"""Revoking: who loses a session, a right or a membership is asked again on every process, at once."""

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import HTTPConnection

from project.core.db.models import now
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
RECHECK = 30.0  # seconds between two questions whether a visitor still is who they were
SOON = 1.0  # seconds that lie between two of them at least


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


@dataclass
class Visit:
    """Whose a stream or socket is: asked again now and then, and at the moment when their session ends by itself.

    To follow is no use of a session: one that rests for too long ends, however many pages of it are open.
    """

    runtime: "Runtime"
    conn: HTTPConnection
    visitor: Principal | None

    def __post_init__(self) -> None:
        self._plan(self.visitor)

    @property
    def patience(self) -> float:
        """Seconds until `lasts` has to be asked."""
        return self._due - time.monotonic()

    @property
    def ends_soon(self) -> bool:
        """Whether the session may end before somebody asks again, unless it is used."""
        return self._ends_at is not None and (self._ends_at - now()).total_seconds() < RECHECK

    async def lasts(self, *, used: bool = False) -> bool:
        """Whether the connection still is of whom it was; a database that is away is no reason to think otherwise.

        `used`: something came from the visitor, so their session does not rest.
        """
        authenticate, found = self.runtime.registry.authenticate, self.visitor
        self.conn.state.rests = not used
        try:
            found = await authenticate(self.runtime, self.conn) if authenticate and self.visitor else None
        except DomainError as refusal:
            found = self.visitor if isinstance(refusal, Unavailable) else None
        except Exception as error:
            log.warning("nobody knows who is there", error=type(error).__name__)
        self._plan(found)
        return found == self.visitor

    def _plan(self, found: Principal | None) -> None:
        wait, self._ends_at = RECHECK * random.uniform(0.8, 1.0), found.ends_at if found else None  # noqa: S311 - spread
        if self._ends_at:
            wait = min(wait, max(SOON, (self._ends_at - now()).total_seconds()))
        self._due = time.monotonic() + wait
