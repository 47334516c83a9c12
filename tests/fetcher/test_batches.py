"""Batches: submitted by JSON, fetched by a job, recorded as the results come."""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from apps.accounts.testing import SignIn
from apps.fetcher import jobs as fetcher_jobs, results
from apps.fetcher.client import Fetched, Limits, Transport
from apps.fetcher.outcomes import Failure, FetchError
from project.core import Runtime
from project.core.jobs import State
from project.core.jobs.table import topic
from project.core.testing.jobs import Jobs
from project.core.testing.recorded import RecordedBus
from tests.fetcher.conftest import Script

pytestmark = pytest.mark.usefixtures("scripted")
BATCHES = "/api/v1/fetcher/batches"
URLS = ["http://a.example/", "http://b.example/", "words", "http://c.example/"]


async def test_a_batch_is_fetched_by_a_job(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, scripted: Script
) -> None:
    scripted.answers |= {"b.example": 404, "c.example": FetchError(Failure.BLOCKED)}
    await sign_in()
    created = await client.post(BATCHES, json={"title": "Mine", "urls": [*URLS, URLS[0]]})
    address = created.headers["Location"]
    assert (created.status_code, address) == (201, f"{BATCHES}/{created.json()['id']}")
    assert (created.json()["status"], created.json()["total"], scripted.asked) == ("queued", 4, [])
    assert await jobs.run() == [State.DONE]
    batch = (await client.get(address)).json()
    assert [batch[name] for name in ("title", "status", "total", "done", "failed")] == ["Mine", "done", 4, 4, 2]
    results = (await client.get(f"{address}/results")).json()
    assert [(each["url"], each["status_code"], each["error"]) for each in results["items"]] == [
        ("http://a.example/", 200, None),
        ("http://b.example/", 404, None),
        ("words", None, "invalid_url"),
        ("http://c.example/", None, "blocked"),
    ]
    assert (results["total"], results["items"][3]["message"]) == (4, Failure.BLOCKED.message)


async def test_a_batch_goes_on_where_it_was_interrupted(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, scripted: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        for url in list(urls)[:3]:
            yield Fetched(url, status_code=200)
        raise RuntimeError("the machine")

    await sign_in()
    urls = [f"http://a.example/{number}" for number in range(6)]
    address = (await client.post(BATCHES, json={"urls": urls})).headers["Location"]
    with monkeypatch.context() as patch:
        patch.setattr(fetcher_jobs, "fetch_all", failing)
        patch.setattr(fetcher_jobs, "RECORD_ROWS", 1)
        assert await jobs.run() == [State.QUEUED]
    assert [(await client.get(address)).json()[name] for name in ("status", "done")] == ["running", 3]
    await jobs.pass_time(60)
    assert await jobs.run() == [State.DONE]
    assert scripted.asked == urls[3:]
    assert [(await client.get(address)).json()[name] for name in ("status", "done")] == ["done", 6]


async def test_progress_is_published(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, bus: RecordedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher_jobs, "RECORD_ROWS", 1)
    await sign_in()
    await client.post(BATCHES, json={"urls": URLS})
    job = await jobs.only("fetcher.run_batch")
    await jobs.run()
    assert [event.type for each, event in bus.published if each == topic(job.id)].count("changed") >= 2
    assert [getattr(await jobs.only(), name) for name in ("done", "total")] == [4, 4]


async def test_a_waiting_batch_is_cancelled(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    for _ in range(2):
        assert (await client.post(f"{address}/cancel")).json()["status"] == "cancelled"
    assert await jobs.run() == []
    assert (await client.get(f"{address}/results")).json()["items"] == []


async def test_a_batch_that_has_ended_stays_so(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await jobs.run()
    assert (await client.post(f"{address}/cancel")).json()["status"] == "done"


async def test_a_running_batch_is_cancelled_with_what_it_has(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]

    async def cancelled(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        yield Fetched(URLS[0], status_code=200)
        assert (await client.post(f"{address}/cancel")).json()["status"] == "cancelled"

    monkeypatch.setattr(fetcher_jobs, "fetch_all", cancelled)
    monkeypatch.setattr(fetcher_jobs, "RECORD_ROWS", 1)
    await jobs.run()
    assert [(await client.get(address)).json()[name] for name in ("status", "done")] == ["cancelled", 1]


async def test_what_comes_after_the_stop_is_not_recorded(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]

    async def late(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        await client.post(f"{address}/cancel")
        for url in urls:
            yield Fetched(url, status_code=200)

    monkeypatch.setattr(fetcher_jobs, "fetch_all", late)
    await jobs.run()
    assert [(await client.get(address)).json()[name] for name in ("status", "done")] == ["cancelled", 0]


async def test_a_result_is_seen_while_the_next_takes_its_time(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    recorded = asyncio.Event()

    async def slow(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        yield Fetched(URLS[0], status_code=200)
        await asyncio.wait_for(recorded.wait(), 20)
        for url in URLS[1:]:
            yield Fetched(url, status_code=200)

    async def record(*given: Any) -> None:
        await results.record(*given)
        recorded.set()

    monkeypatch.setattr(fetcher_jobs, "fetch_all", slow)
    monkeypatch.setattr(fetcher_jobs, "record", record)
    monkeypatch.setattr(fetcher_jobs, "RECORD_SECONDS", 0.01)
    assert await jobs.run() == [State.DONE]
    assert (await client.get(address)).json()["done"] == 4


async def test_what_comes_while_others_are_recorded_is_not_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    recording, found = asyncio.Event(), list[str]()

    async def engine() -> AsyncGenerator[Fetched, None]:
        yield Fetched("a")
        await recording.wait()
        yield Fetched("b")

    monkeypatch.setattr(fetcher_jobs, "RECORD_SECONDS", 0.01)
    async with asyncio.timeout(20), aclosing(fetcher_jobs._portions(engine())) as portions:
        async for portion in portions:
            found += [each.url for each in portion]
            recording.set()
            for _ in range(10):
                await asyncio.sleep(0)
    assert found == ["a", "b"]


async def test_batches_are_their_owners_only(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await sign_in("bob@example.com", is_staff=True)
    assert (await client.get(BATCHES)).json()["items"] == []
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancel")):
        assert (await client.request(method, address + path)).status_code == 404


@pytest.mark.parametrize("urls", [[], [""], ["http://a.example/" + "x" * 2048], ["x"] * 10_001])
async def test_none_and_too_many_are_not_taken(urls: list[str], client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    assert (await client.post(BATCHES, json={"urls": urls})).status_code == 422
    assert (await client.get(BATCHES)).json()["total"] == 0


async def test_many_urls_are_saved_piece_by_piece(
    client: httpx2.AsyncClient, sign_in: SignIn, runtime: Runtime
) -> None:
    sizes: list[int] = []

    def see(_: Any, __: Any, statement: str, rows: Any, *___: Any) -> None:
        if statement.startswith("INSERT INTO fetcher_fetch"):
            sizes.append(len(rows))

    await sign_in()
    urls = [f"http://a.example/{number}" for number in range(1200)]
    sa.event.listen(runtime.database.engine.sync_engine, "before_cursor_execute", see)
    try:
        created = await client.post(BATCHES, json={"urls": urls})
    finally:
        sa.event.remove(runtime.database.engine.sync_engine, "before_cursor_execute", see)
    assert (created.json()["total"], sizes) == (1200, [500, 500, 200])
