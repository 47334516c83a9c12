"""Who is asking: what the one authenticating app says of a connection, kept as plain data."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.requests import HTTPConnection

from project.core.log import user_id

if TYPE_CHECKING:
    from project.core.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Principal:
    """A person who is signed in. Plain data: it outlives every database session.

    Services take it as their second argument: `create_post(db, user, data)`. `session_id` is what they came by;
    `scopes` says what a token of theirs may do, and is None for the person themselves, who may all that is theirs.
    At `ends_at` they are nobody any more, unless what they came by is used before.
    """

    id: UUID
    email: str
    name: str
    session_id: UUID
    is_staff: bool = False
    is_superuser: bool = False
    permissions: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None
    ends_at: datetime | None = field(default=None, compare=False)

    @property
    def label(self) -> str:
        """The name people read."""
        return self.name or self.email

    def can(self, permission: str) -> bool:
        """Whether a group of theirs permits this, such as "blog.post.change"; superusers may do everything."""
        return self.is_superuser or permission in self.permissions


Authenticate = Callable[["Runtime", HTTPConnection], Awaitable[Principal | None]]
Identify = Callable[["Runtime", str], Awaitable[Principal | None]]


async def principal(conn: HTTPConnection) -> Principal | None:
    """Who is asking, or None. Asked once per connection; the answer is kept on its state."""
    if not hasattr(conn.state, "principal"):
        runtime: Runtime = conn.app.state.runtime
        authenticate = runtime.registry.authenticate
        conn.state.principal = await authenticate(runtime, conn) if authenticate else None
    found: Principal | None = conn.state.principal
    user_id.set(str(found.id) if found else "")
    return found
