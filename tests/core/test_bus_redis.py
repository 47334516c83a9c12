"""The bus of several processes: what Redis carries, and what happens while it is away or hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from project.core.conf import Settings
from project.core.errors import ConfigurationError
from project.core.live import GAP, Event, Subscription, pubsub
from project.core.live.pubsub import OUTGOING, RedisBus
from project.core.redis import connect
from project.core.runtime import Runtime
from project.core.testing.plugin import MakeSettings
from project.core.testing.redis_server import RedisServer

SECONDS = 15


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
async def _no_task_is_left() -> AsyncIterator[None]:
    yield
    assert not [task for task in asyncio.all_tasks() if "RedisBus" in repr(task.get_coro())]


@pytest.fixture
def trouble(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a bus has noticed that Redis is away."""
    noticed = asyncio.Event()
    monkeypatch.setattr(pubsub.log, "warning", lambda *_, **__: noticed.set(), raising=False)
    return noticed


@pytest.fixture
def topic() -> str:
    return f"tests/{uuid4()}"


@asynccontextmanager
async def bus_on(url: str) -> AsyncIterator[RedisBus]:
    bus = RedisBus(SecretStr(url))
    try:
        yield bus
    finally:
        await bus.close()


async def hear(events: Subscription, event: Event) -> list[Event]:
    """What comes up to this event."""
    heard: list[Event] = []
    async with asyncio.timeout(SECONDS):
        while event not in heard:
            heard.append(await anext(events))
    return heard


async def test_two_processes_exchange_events_in_order(redis_url: str, topic: str) -> None:
    async with (
        bus_on(redis_url) as one,
        bus_on(redis_url) as other,
        one.subscribe(topic) as here,
        other.subscribe(topic) as there,
    ):
        sent = [Event("tick", number, id=str(number)) for number in range(200)]
        for event in sent:
            await one.publish(topic, event)
        assert await hear(here, sent[-1]) == sent
        assert await hear(there, sent[-1]) == sent


async def test_one_connection_hears_all_topics_and_subscribing_is_over_when_it_stands(
    server: RedisServer, topic: str
) -> None:
    watcher = connect(SecretStr(server.url))
    async with bus_on(server.url) as bus, bus.subscribe(topic) as events, bus.subscribe("x", "y"), bus.subscribe("z"):
        assert await watcher.pubsub_numpat() == 1
        assert len(await watcher.client_list(_type="pubsub")) == 1
        await watcher.publish(f"uptempo:0:{topic}", '{"type": "tick"}')
        await watcher.publish("uptempo:0:", "no event")
        await watcher.publish(f"uptempo:0:{topic}", "[1]")
        await watcher.publish(f"uptempo:0:{topic}", '{"type": "tock"}')
        assert await hear(events, Event("tock")) == [Event("tick"), Event("tock")]
    await watcher.aclose()


async def test_sites_with_databases_of_their_own_do_not_hear_each_other(server: RedisServer, topic: str) -> None:
    second = server.url.removesuffix("0") + "5"
    async with (
        bus_on(server.url) as one,
        bus_on(second) as other,
        one.subscribe(topic) as here,
        other.subscribe(topic) as there,
    ):
        await other.publish(topic, Event("theirs"))
        assert await hear(there, Event("theirs"))
        assert not await here.ready(0)


async def test_a_restart_of_redis_is_a_gap_and_then_events_flow_again(server: RedisServer, topic: str) -> None:
    async with bus_on(server.url) as one, bus_on(server.url) as other, one.subscribe(topic) as events:
        await other.publish(topic, Event("before"))
        assert await hear(events, Event("before")) == [Event("before")]
        server.kill()
        await other.publish(topic, Event("lost"))
        server.start()
        assert await hear(events, GAP) == [GAP]
        await other.publish(topic, Event("after"))
        assert Event("lost") not in await hear(events, Event("after"))
        assert other.dropped == 1


async def test_while_redis_hangs_nobody_waits_and_later_events_flow(
    server: RedisServer, topic: str, trouble: asyncio.Event
) -> None:
    async with bus_on(server.url) as bus, bus.subscribe(topic) as events, bus.subscribe("another") as calm:
        server.halt()
        started = time.perf_counter()
        for number in range(2 * OUTGOING):
            await bus.publish(topic, Event("lost", number))
        async with bus.subscribe(topic) as late:
            assert time.perf_counter() - started < 1
            await asyncio.wait_for(trouble.wait(), SECONDS)
            server.go_on()
            await hear(late, GAP)
            await hear(calm, GAP)
            await bus.publish(topic, Event("after"))
            await hear(late, Event("after"))
            await hear(events, Event("after"))


async def test_a_process_that_starts_without_redis_hears_a_gap_when_it_comes(topic: str) -> None:
    server = RedisServer()
    async with bus_on(server.url) as bus, bus.subscribe(topic) as events:
        await bus.publish(topic, Event("lost"))
        with server:
            await hear(events, GAP)
            await bus.publish(topic, Event("after"))
            await hear(events, Event("after"))


async def test_what_a_publisher_drops_is_a_gap_for_listeners_elsewhere(server: RedisServer, topic: str) -> None:
    async with (
        bus_on(server.url) as one,
        bus_on(server.url) as other,
        one.subscribe(topic) as events,
        one.subscribe("another") as calm,
    ):
        for number in range(OUTGOING + 1):  # without a pause, so that nothing is sent meanwhile
            await other.publish(topic, Event("tick", number))
        last = Event("tick", OUTGOING)
        assert await hear(events, last) == [GAP, last]
        assert other.dropped == OUTGOING
        assert not await calm.ready(0)


async def test_a_process_that_stops_sends_its_last_events(redis_url: str, topic: str) -> None:
    async with bus_on(redis_url) as one, one.subscribe(topic) as events:
        async with bus_on(redis_url) as short:
            await short.publish(topic, Event("done"))
        assert await hear(events, Event("done")) == [Event("done")]


async def test_the_site_uses_redis_when_it_has_one(make_settings: MakeSettings, redis_url: str, topic: str) -> None:
    async with (
        Runtime(make_settings(REDIS_URL=redis_url)) as one,
        Runtime(make_settings(REDIS_URL=redis_url)) as two,
        one.bus.subscribe(topic) as events,
    ):
        await two.bus.publish(topic, Event("hello"))
        assert await hear(events, Event("hello")) == [Event("hello")]


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis:", "redis://:pa/ss@localhost"])
async def test_an_address_that_is_none_is_refused_without_repeating_it(
    settings_class: type[Settings], monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.setenv("SECRET_KEY", "0123456789-abcdefghijklmnopqrstuvwxyz")
    with pytest.raises(ConfigurationError, match="REDIS_URL") as refused:
        settings_class.load()
    assert "localhost" not in str(refused.value)
    assert "pa" not in str(refused.value)


async def test_no_password_is_told_by_a_client_or_its_errors() -> None:
    server = RedisServer()
    client: Redis = connect(SecretStr(server.url.replace("redis://", "redis://:hunter2@")))
    with pytest.raises(Exception, match="connecting") as refused:
        await client.ping()
    assert "hunter2" not in f"{client!r} {client.connection_pool!r} {refused.value!r}"
    await client.aclose()


async def test_a_server_that_hangs_counts_as_away_within_two_seconds(server: RedisServer) -> None:
    client = connect(SecretStr(server.url))
    await client.ping()
    server.halt()
    for _ in range(2):  # on the connection that is open, and on a new one
        started = time.perf_counter()
        with pytest.raises((RedisError, OSError)):
            await client.ping()
        assert time.perf_counter() - started < 2.5
    await client.aclose()
