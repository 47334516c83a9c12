"""Redis clients, made in one place: one that hangs counts as one that is away."""

import asyncio
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection


class _Heeding(AbstractConnection):
    """Heeds a cancellation that comes while it sends; `wait_for` of Python 3.11 drops it, and loops go on for ever."""

    async def send_packed_command(self, *args: Any, **options: Any) -> None:
        task = asyncio.current_task()
        asked = task.cancelling() if task else 0
        await super().send_packed_command(*args, **options)
        if task and task.cancelling() > asked:
            await self.disconnect(nowait=True)  # its answer is still to come
            raise asyncio.CancelledError


class _Plain(_Heeding, Connection):
    pass


class _Encrypted(_Heeding, SSLConnection):
    pass


HEEDING: dict[type, type[AbstractConnection]] = {Connection: _Plain, SSLConnection: _Encrypted}
TIMEOUT = 1.0  # seconds for connecting, and again for an answer: together what a hung server may cost


def connect(url: SecretStr, **options: Any) -> Redis:
    """A client of the server at REDIS_URL; nothing is opened before its first command.

    Close it with `aclose()`. Its errors and its repr name host and port, never the password. What waits longer
    than a second for an answer, such as BLPOP, needs a `socket_timeout` of its own among the options.
    """
    usual = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}
    client: Redis = Redis.from_url(url.get_secret_value(), **(usual | options))
    pool = client.connection_pool
    pool.connection_class = HEEDING.get(pool.connection_class, pool.connection_class)
    return client
