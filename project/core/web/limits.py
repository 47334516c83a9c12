"""Rate limits: a moving window per action and key, shared by all workers through Redis, and kept by each of them, too.

Redis counts for everybody, by its own clock. What it lets pass is counted in this process as well: while Redis is
away, hangs or is full, that count goes on by itself, so a limit is at worst as many times itself as there are workers.
"""

import asyncio
import ipaddress
import re
from collections import deque
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from math import ceil
from time import monotonic
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, SecretStr
from starlette.requests import HTTPConnection

from project.core.errors import TooMany
from project.core.log import get_logger
from project.core.redis import connect

log = get_logger(__name__)
PATIENCE = 0.5  # seconds that Redis has to answer
PAUSE = 1.0  # seconds before one try asks a Redis again that did not
MOST = 100_000  # keys that one process remembers
RATE = re.compile(r"([1-9]\d{0,8}) ?(?:/|per) ?(?:([1-9]\d{0,3}) )?(second|minute|hour|day)s?", re.A)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
# The list holds the moments of the last tries, newest first; the answer is how many milliseconds are to wait.
SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local first = redis.call('LINDEX', KEYS[1], ARGV[1] - 1)
if first and first + ARGV[2] > now then return first + ARGV[2] - now end
redis.call('LPUSH', KEYS[1], now)
redis.call('LTRIM', KEYS[1], 0, ARGV[1] - 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 0
"""


class Rate(NamedTuple):
    """So many tries in so many seconds."""

    tries: int
    seconds: int


@cache
def parse_rate(text: str) -> Rate:
    """ "10/minute" or "5 per 5 minutes" as a Rate; raises ValueError for anything else."""
    match = RATE.fullmatch(text)
    if match is None:
        raise ValueError("must be such as 10/minute or 5/30 seconds")
    return Rate(int(match[1]), int(match[2] or 1) * SECONDS[match[3]])


def _readable(text: str) -> str:
    parse_rate(text)
    return text


RateText = Annotated[str, AfterValidator(_readable)]


@dataclass(slots=True)
class _Tries:
    moments: deque[float] = field(default_factory=deque)
    closed_until: float = 0
    kept_until: float = 0


class Windows:
    """The last tries of each key, as this process saw them; no more of them than a rate allows."""

    def __init__(self) -> None:
        self._tries: dict[str, _Tries] = {}  # what changed last stands last

    def wait(self, key: str, rate: Rate) -> float:
        """Seconds until the tries that this process has counted leave room for the next; 0 means now."""
        tries = self._tries.get(key)
        full = tries is not None and len(tries.moments) >= rate.tries
        return max(0, tries.moments[-rate.tries] + rate.seconds - monotonic()) if tries and full else 0

    def closed(self, key: str) -> float:
        """Seconds for which all workers together are known to have had enough."""
        tries = self._tries.get(key)
        return max(0, tries.closed_until - monotonic()) if tries else 0

    def count(self, key: str, rate: Rate) -> None:
        """Note a try that was let pass."""
        tries = self._kept(key, rate.seconds)
        tries.moments.append(monotonic())
        while len(tries.moments) > rate.tries:
            tries.moments.popleft()

    def close(self, key: str, seconds: float) -> None:
        """Let nothing pass for so long."""
        self._kept(key, seconds).closed_until = monotonic() + seconds

    def _kept(self, key: str, seconds: float) -> _Tries:
        now = monotonic()
        found = self._tries.pop(key, None) or _Tries()
        found.kept_until = max(found.kept_until, now + seconds)
        while self._tries:
            oldest = next(iter(self._tries))
            if self._tries[oldest].kept_until > now and len(self._tries) < MOST:
                break
            del self._tries[oldest]
        self._tries[key] = found
        return found


class Limiter:
    """Counts tries, good and bad: a good one does not wash the bad ones off.

    Args:
        redis_url: the server that all workers count on; empty means that each counts for itself.
        key: what keys are hashed with, so that Redis holds no e-mail or address; the same in all workers.
    """

    def __init__(self, redis_url: SecretStr = SecretStr(""), key: str = "") -> None:
        self._here = Windows()
        self._redis = connect(redis_url) if redis_url.get_secret_value() else None
        self._script: Any = self._redis.register_script(SCRIPT) if self._redis else None
        self._key = key.encode()
        self._away = False
        self._ask_again = 0.0

    async def hit(self, action: str, key: str, rate: str) -> None:
        """Count one try of `action` for `key`; raises TooMany with the seconds to wait.

        Args:
            rate: such as "10/minute" or "5 per 5 minutes".
        """
        limit, name = parse_rate(rate), self._name(action, key)
        # Looked at before, to spare Redis a flood, and after, as others have counted meanwhile.
        wait = self._here.closed(name) or self._here.wait(name, limit)
        wait = wait or await self._ask(name, limit) or self._here.wait(name, limit)
        if wait:
            seconds = ceil(wait)
            span = f"{seconds} seconds" if seconds < 100 else f"{ceil(seconds / 60)} minutes"
            raise TooMany(f"That was too often. Try again in {span}.", retry_after=seconds)
        self._here.count(name, limit)

    async def aclose(self) -> None:
        """Let go of Redis."""
        if self._redis:
            await self._redis.aclose()

    def _name(self, action: str, key: str) -> str:
        told = f"{action}\0{key}".encode("utf-8", "surrogatepass")
        return f"uptempo:limit:{blake2b(told, key=self._key[:64], digest_size=16).hexdigest()}"

    async def _ask(self, name: str, rate: Rate) -> float:
        """Count the try for all workers; the seconds to wait, 0 also where Redis does not say."""
        if self._redis is None or monotonic() < self._ask_again:
            return 0
        if self._away:
            self._ask_again = monotonic() + PAUSE  # one asks, the others do not wait for the answer
        try:
            async with asyncio.timeout(PATIENCE):
                wait: float = await self._script([name], [rate.tries, rate.seconds * 1000]) / 1000
        except Exception as error:  # also what a strange option in the URL raises: a door must never stand open
            if not self._away:
                log.warning("Redis is away; each worker limits by itself", error=type(error).__name__)
            self._away, self._ask_again = True, monotonic() + PAUSE
            return 0
        if self._away:
            log.info("limits are shared again")
        self._away, self._ask_again = False, 0
        if wait:
            self._here.close(name, wait)
        return wait


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
