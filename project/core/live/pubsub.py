"""The bus of several processes: Redis pub/sub carries the events, and what it loses becomes a gap."""

import asyncio
from contextlib import suppress
from typing import Any

from pydantic import SecretStr
from redis.exceptions import RedisError

from project.core.live.bus import Bus
from project.core.live.events import GAP, decode, encode
from project.core.log import get_logger
from project.core.redis import connect

log = get_logger(__name__)
EVERY = "*"  # in place of a topic: all of them
OUTGOING = 1000  # events that wait for Redis, and topics that wait to be told of a gap
SILENCE = 1.0  # seconds without a word from Redis, after which it is asked, and seconds it has to answer
FLUSH = 1.0  # seconds that a process which stops gives its last events
PAUSES = 0.1, 2.0  # seconds between two tries, doubled from the first to the last


class RedisBus(Bus):
    """Events through Redis, at most once and in one order for all: two connections, whatever is published or heard.

    While Redis is away nothing waits for it: events are dropped and counted in `dropped`, and when it is back
    their listeners hear of a gap.
    """

    def __init__(self, url: SecretStr) -> None:
        super().__init__()
        self.dropped = 0
        self._redis = connect(url)
        # Pub/sub knows no databases: two sites on one server are told apart by the number of theirs.
        self._prefix = f"uptempo:{self._redis.connection_pool.connection_kwargs.get('db', 0)}:"
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(OUTGOING)
        self._lost: set[str] = set()
        self._settled = asyncio.Event()  # the first try to subscribe has ended, well or not
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def send(self, topic: str, encoded: bytes) -> None:
        if self._outgoing.full():  # a gap that overtakes older events would be told too early
            while not self._outgoing.empty():
                self._lose(self._outgoing.get_nowait()[0])
                self._outgoing.task_done()
        self._outgoing.put_nowait((topic, encoded))
        if "sender" not in self._tasks:
            self._tasks["sender"] = asyncio.create_task(self._send_all())

    async def holds(self, key: str) -> bool | None:
        """Whether there is this key in Redis; None when Redis is away."""
        with suppress(RedisError, OSError):
            return bool(await self._redis.exists(key))
        return None

    async def close(self) -> None:
        """Send what waits, as far as Redis takes it within a second, and let go of both connections."""
        if "sender" in self._tasks:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._outgoing.join(), FLUSH)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()
        await super().close()
        await self._redis.aclose()

    def _lose(self, topic: str) -> None:
        self.dropped += 1
        if len(self._lost) >= OUTGOING:
            self._lost = {EVERY}
        self._lost.add(topic)

    async def _send_all(self) -> None:
        while True:
            topic, encoded = await self._outgoing.get()
            await self._tell_gaps()  # before anything newer
            if not await self._sent(topic, encoded):
                log.warning("events are dropped: Redis is away")
                self._lose(topic)
                await self._tell_gaps()
            self._outgoing.task_done()

    async def _tell_gaps(self) -> None:
        pause = PAUSES[0]
        while self._lost:
            topic = self._lost.pop()
            if not await self._sent(topic, encode(GAP)):
                self._lost.add(topic)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSES[1])

    async def _sent(self, topic: str, encoded: bytes) -> bool:
        try:
            await self._redis.publish(self._prefix + topic, encoded)
        except Exception as error:  # also what a strange option in the URL raises: the task has to live
            log.info("an event was not sent", error=type(error).__name__)
            return False
        return True

    async def _stand(self) -> None:
        if "listener" not in self._tasks:
            self._tasks["listener"] = asyncio.create_task(self._listen())
        await self._settled.wait()

    async def _listen(self) -> None:
        pause = PAUSES[0]
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.psubscribe(f"{self._prefix}*")
                    while True:
                        message = await pubsub.get_message(timeout=SILENCE)
                        if message is None:
                            await pubsub.ping()
                            message = await pubsub.get_message(timeout=SILENCE)
                        if message is None:
                            raise TimeoutError
                        if message["type"] == "psubscribe":
                            pause = PAUSES[0]
                            self._stands()
                        elif message["type"] == "pmessage":
                            self._arrived(message)
            except Exception as error:
                if pause == PAUSES[0]:
                    log.warning("events do not arrive: Redis is away", error=type(error).__name__)
                self._settled.set()
            await asyncio.sleep(pause)
            pause = min(2 * pause, PAUSES[1])

    def _stands(self) -> None:
        if self._settled.is_set():
            log.info("events arrive again")
            self.deliver(EVERY, encode(GAP))
        self._settled.set()

    def _arrived(self, message: dict[str, Any]) -> None:
        try:
            self.deliver(message["channel"].decode().removeprefix(self._prefix), message["data"])
        except (ValueError, TypeError, KeyError):
            log.warning("not an event of ours", channel=repr(message["channel"]))

    def deliver(self, topic: str, encoded: bytes) -> None:
        if topic != EVERY:
            super().deliver(topic, encoded)
            return
        for subscription in self.all_subscriptions():
            subscription.put(decode(encoded))
