"""Results: filtered, sorted, followed as they come, taken home."""

import csv
import io
import json
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.testing import SignIn
from apps.fetcher import following, jobs as fetcher_jobs, results
from apps.fetcher.client import Fetched
from apps.fetcher.models import Fetch
from apps.fetcher.outcomes import Failure, FetchError
from project.core import NotFound
from project.core.testing.jobs import Jobs
from tests.fetcher.conftest import Script

pytestmark = [pytest.mark.usefixtures("scripted"), pytest.mark.any_database]
BATCHES = "/api/v1/fetcher/batches"
URLS = ["http://a.example/", "http://b.example/x_y", "http://c.example/", "words"]


@pytest.fixture
async def address(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, script: Script) -> str:
    """A batch with one of each outcome, and a good one."""
    script.answers |= {"b.example": 503, "c.example": FetchError(Failure.BLOCKED), "a.example": 200}
    await sign_in()
    created = await client.post(BATCHES, json={"urls": URLS, "title": "=1+1 of May", "retries": 0})
    await jobs.run()
    return created.headers["Location"]


async def urls(client: httpx2.AsyncClient, address: str, **query: str) -> list[str]:
    answer = await client.get(f"{address}/results", params=query)
    return [each["url"] for each in answer.json()["items"]]


async def test_results_are_filtered_by_outcome(client: httpx2.AsyncClient, address: str) -> None:
    assert await urls(client, address, outcome="ok") == URLS[:1]
    assert await urls(client, address, outcome="refused") == URLS[1:2]
    assert await urls(client, address, outcome="failed") == URLS[2:]
    assert (await client.get(f"{address}/results", params={"outcome": "odd"})).status_code == 422


async def test_results_are_searched_by_what_is_meant(client: httpx2.AsyncClient, address: str) -> None:
    assert await urls(client, address, q="EXAMPLE") == URLS[:3]
    assert await urls(client, address, q="_") == URLS[1:2]
    assert await urls(client, address, q="%") == []
    assert await urls(client, address, q="x_y", outcome="ok") == []


async def test_results_are_sorted(app: FastAPI, client: httpx2.AsyncClient, address: str) -> None:
    async with app.state.runtime.unit_of_work() as db:
        for row in (await db.exec(select(Fetch))).all():
            row.elapsed_ms, row.size = {0: (5, 9), 1: (7, 9), 2: (6, 1), 3: (5, 0)}[row.number]

    async def order(sort: str) -> list[int]:
        return [URLS.index(each) for each in await urls(client, address, sort=sort)]

    assert await order("number") == [0, 1, 2, 3]
    assert await order("elapsed_ms") == [0, 3, 2, 1]
    assert await order("-elapsed_ms") == [1, 2, 0, 3]
    assert await order("-size") == [0, 1, 2, 3]
    assert await order("url") == [0, 1, 2, 3]
    assert sorted(await order("arrival")) == [0, 1, 2, 3]
    assert (await client.get(f"{address}/results", params={"sort": "sha256"})).status_code == 422


async def test_results_are_taken_home_as_a_table(client: httpx2.AsyncClient, address: str) -> None:
    answer = await client.get(f"{address}/export", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["url"] for row in rows] == URLS
    assert (rows[1]["outcome"], rows[1]["status_code"], rows[2]["error"]) == ("refused", "503", "blocked")
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert "=1+1" not in answer.headers["content-disposition"]


async def test_a_spreadsheet_finds_no_formula(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in("eve@example.com")
    created = await client.post(BATCHES, json={"urls": ['=HYPERLINK("http://e/","x")', "@SUM(1)", "+1", "-2", "\t=1"]})
    await jobs.run()
    text = (await client.get(f"{created.headers['Location']}/export")).text
    assert {row["url"][:1] for row in csv.DictReader(io.StringIO(text))} == {"'"}


@pytest.mark.parametrize("format", ["json", "jsonl"])
async def test_results_are_taken_home_as_json(
    format: str, client: httpx2.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PORTION", 2)
    answer = await client.get(f"{address}/export", params={"format": format})
    rows = answer.json() if format == "json" else [json.loads(line) for line in answer.text.splitlines()]
    assert [(row["url"], row["number"], row["redirects"]) for row in rows] == [
        (url, number, []) for number, url in enumerate(URLS)
    ]
    only = await client.get(f"{address}/export", params={"format": "jsonl", "outcome": "ok", "q": "a.example"})
    assert [json.loads(line)["url"] for line in only.text.splitlines()] == URLS[:1]


Events = list[tuple[str, str, dict[str, object]]]


async def events(client: httpx2.AsyncClient, address: str, last: str = "") -> Events:
    """(type, id, data) of everything until the stream ends."""
    found: Events = []
    frame: dict[str, str] = {}
    headers = {"Last-Event-ID": last} if last else {}
    async with client.stream("GET", f"{address}/events", headers=headers) as answer:
        assert answer.status_code == 200
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            frame |= {field: value}
            if not line and frame.get("event") == "end":
                break
            if not line and frame.get("data"):
                found.append((frame["event"], frame["id"], json.loads(frame["data"])))
            frame = frame if line else {}
    return found


async def test_a_finished_batch_is_told_whole(
    client: httpx2.AsyncClient, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "PORTION", 3)
    monkeypatch.setattr(following, "PORTION", 3)
    told = await events(client, address)
    assert [(kind, number) for kind, number, _ in told] == [*(("result", str(n)) for n in range(1, 5)), ("batch", "4")]
    assert sorted(str(data["url"]) for _, _, data in told[:4]) == sorted(URLS)
    assert (told[4][2]["status"], told[4][2]["done"]) == ("done", 4)


async def test_a_lost_stream_goes_on_after_the_last_that_came(client: httpx2.AsyncClient, address: str) -> None:
    assert [(kind, number) for kind, number, _ in await events(client, address, "3")] == [
        ("result", "4"),
        ("batch", "4"),
    ]
    assert [(kind, number) for kind, number, _ in await events(client, address, "4")] == [("batch", "4")]
    assert len(await events(client, address, "x' OR 1=1")) == 5


async def test_results_that_come_again_are_told_again(
    client: httpx2.AsyncClient, address: str, jobs: Jobs, script: Script
) -> None:
    script.answers["b.example"] = 200
    await client.post(f"{address}/retry")
    await jobs.run()
    told = await events(client, address, "4")
    assert [number for kind, number, _ in told if kind == "result"] == ["5", "6", "7"]
    assert {str(data["url"]) for kind, _, data in told if kind == "result"} == set(URLS[1:])


async def test_results_of_a_batch_that_nobody_has_are_not_recorded(jobs: Jobs) -> None:
    with pytest.raises(NotFound):
        async with jobs.runtime.unit_of_work() as db:
            await results.record(db, UUID(int=1), UUID(int=2), {}, [Fetched("x")])
    assert fetcher_jobs.RECORD_ROWS <= results.PORTION
