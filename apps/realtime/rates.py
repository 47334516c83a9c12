"""How often one person may speak, open rooms and invite: the same for every door."""

from apps.accounts import CurrentUser
from apps.realtime.conf import RealtimeSettings
from project.core import CurrentRuntime
from project.core.web.deps import CurrentLimiter


async def message_rate(user: CurrentUser, limiter: CurrentLimiter, runtime: CurrentRuntime) -> None:
    """Raises TooMany when this person has said enough for now."""
    await limiter.hit("realtime.message", str(user.id), runtime.conf(RealtimeSettings).MESSAGE_RATE)


async def room_rate(user: CurrentUser, limiter: CurrentLimiter, runtime: CurrentRuntime) -> None:
    """Raises TooMany when this person has opened enough rooms, or invited enough people, for now."""
    await limiter.hit("realtime.room", str(user.id), runtime.conf(RealtimeSettings).ROOM_RATE)
