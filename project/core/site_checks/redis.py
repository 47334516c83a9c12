"""Connects to Redis as the site would: does it answer, may strangers, does it keep what it is given?"""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from project.core.checks import Finding, check, in_short
from project.core.redis import connect
from project.core.runtime import Runtime

OLDEST = (6, 2)
PATIENCE = 3.0  # seconds

AWAY = Finding("core.E130", "Redis cannot be used ({reason}).", "Is it running, and is REDIS_URL right?")
OPEN = Finding(
    "core.E131",
    "Redis at {host} asks for no password, and whoever reaches it can change what it holds.",
    "Give it one (requirepass, or an ACL user) and set REDIS_URL=redis://:password@{host}…",
)
EVICTS = Finding(
    "core.E132",
    "Redis throws keys away when it is full (maxmemory-policy {policy}), and limits are forgotten with them.",
    "Set maxmemory-policy noeviction.",
)
REPLICA = Finding("core.E133", "REDIS_URL names a replica, which takes no writes.", "Name the primary in REDIS_URL.")
OLD = Finding("core.E134", "Redis {version} is too old.", "Install Redis 6.2 or newer, or Valkey.")


@check(AWAY, OPEN, EVICTS, REPLICA, OLD, tags=["redis", "security"], deploy=True)
async def what_redis_says(runtime: Runtime) -> AsyncIterator[Finding]:
    """What Redis says of itself."""
    url = runtime.settings.REDIS_URL
    if not url.get_secret_value():
        return
    async with aclosing(connect(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)) as client:
        try:
            about: dict[str, Any] = await client.info()
        except (RedisError, OSError, TimeoutError) as error:
            yield AWAY.of(reason=in_short(error))
            return
    parts = urlsplit(url.get_secret_value())
    if not parts.password and not _is_here(parts.hostname or ""):
        yield OPEN.of(host=parts.hostname)
    if about.get("maxmemory") and about.get("maxmemory_policy") != "noeviction":
        yield EVICTS.of(policy=about.get("maxmemory_policy"))
    if about.get("role") == "slave":
        yield REPLICA
    version = str(about.get("redis_version", ""))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        yield OLD.of(version=version)


def _is_here(host: str) -> bool:
    """Whether nobody but this machine reaches that host; a unix socket has none."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host in ("", "localhost")
