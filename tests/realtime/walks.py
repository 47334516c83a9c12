"""What the walks through the whole site have to know of the rooms."""

from uuid import UUID

from apps.accounts import User
from apps.realtime.models import Room
from project.core import AsyncSession
from project.core.db.models import uuid7

ROOM = "/api/v1/realtime/rooms/{slug}"
PUBLIC = {"GET /realtime"}  # leads on to an address that asks who is there
EXAMPLE = {"title": "Mine", "slug": "mine", "private": False, "body": "Hello", "email": "bob@example.com"}
BODIES = {
    f"POST {ROOM}/members": {"email": "bob@example.com"},
    f"POST {ROOM}/messages": {"body": "Let me in"},
    "POST /realtime/rooms/{slug}": {"body": "Let me in"},
    "POST /realtime/rooms/{slug}/invite": {"email": "bob@example.com"},
}


async def add_room(db: AsyncSession, owner: User) -> UUID:
    """A private room of theirs, whose short name is the id."""
    slug = uuid7()
    db.add(Room(slug=str(slug), title="Hush", private=True, owner_id=owner.id))
    return slug


async def settle(db: AsyncSession, user: User, other: User) -> None:
    """A room of their own, and one of somebody else's."""
    for slug, owner in {"own": user, "bobs": other}.items():
        db.add(Room(slug=slug, title=slug, owner_id=owner.id))


ROWS = {"slug": add_room}
FORMS = {f"/realtime/rooms/{each}" for each in ("own Send", "own Join", "own/invite Invite", "bobs Join")}
