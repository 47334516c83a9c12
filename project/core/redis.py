"""Redis clients, made in one place: one that hangs counts as one that is away."""

from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

TIMEOUT = 1.0  # seconds for connecting, and again for an answer: together what a hung server may cost


def connect(url: SecretStr, **options: Any) -> Redis:
    """A client of the server at REDIS_URL; nothing is opened before its first command.

    Close it with `aclose()`. Its errors and its repr name host and port, never the password. What waits longer
    than a second for an answer, such as BLPOP, needs a `socket_timeout` of its own among the options.
    """
    usual = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    client: Redis = Redis.from_url(url.get_secret_value(), **(usual | options))
    return client
