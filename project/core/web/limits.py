"""Rate limits: a moving window per action and key, shared by all doors to the action."""

import ipaddress
import time

from starlette.requests import HTTPConnection

from project.core.errors import TooMany


class Limiter:
    """Counts tries in this process. A good try does not wash the bad ones off."""

    def __init__(self) -> None:
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import MovingWindowRateLimiter

        self._window = MovingWindowRateLimiter(MemoryStorage())

    async def hit(self, action: str, key: str, rate: str) -> None:
        """Count one try of `action` for `key`; raises TooMany with the seconds to wait.

        Args:
            rate: such as "10/minute" or "5 per 5 minutes".
        """
        from limits import parse

        item = parse(rate)
        if not await self._window.hit(item, action, key):
            stats = await self._window.get_window_stats(item, action, key)
            raise TooMany(retry_after=max(1.0, stats.reset_time - time.time()))


def peer(conn: HTTPConnection) -> str:
    """The peer's IP address, or "" where there is none (a unix socket, a forwarded word that is no address)."""
    try:
        address = ipaddress.ip_address(conn.client.host if conn.client else "")
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def client_address(conn: HTTPConnection) -> str:
    """The peer's address as a key for limits; IPv6 counts by /64, the part a subscriber is given."""
    host = peer(conn)
    return str(ipaddress.ip_network(f"{host}/64", strict=False)) if ":" in host else host or "unknown"
