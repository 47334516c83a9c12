"""Batches as they are asked for: once, with options, within quotas; found again, tried again, deleted."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import SignIn, add_user, sign_in_as
from apps.fetcher import jobs as fetcher_jobs
from apps.fetcher.client import Fetched, Limits, Transport, fetch_all
from apps.fetcher.conf import FetcherSettings
from apps.fetcher.outcomes import Failure, FetchError
from apps.fetcher.services import close_stranded
from project.core import AppSettings, Runtime
from project.core.jobs import State
from project.core.testing.jobs import Jobs
from tests.fetcher.conftest import Script

pytestmark = [pytest.mark.usefixtures("scripted"), pytest.mark.any_database]
BATCHES = "/api/v1/fetcher/batches"
URLS = ["http://a.example/", "http://b.example/", "http://c.example/"]


Configure = Callable[..., None]


@pytest.fixture
def configure(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Change the fetcher's settings: `configure(MAX_URLS=4)`."""

    def change(**values: int) -> None:
        conf = runtime.conf(FetcherSettings).model_copy(update=values)
        usual = runtime.conf

        def found(cls: type[AppSettings]) -> AppSettings:
            return conf if cls is FetcherSettings else usual(cls)

        monkeypatch.setattr(runtime, "conf", found)

    return change


async def state(client: httpx2.AsyncClient, address: str) -> list[object]:
    """[status, done, refused, failed] of the batch."""
    batch = (await client.get(address)).json()
    return [batch[name] for name in ("status", "done", "refused", "failed")]


async def test_options_reach_the_engine(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, runtime: Runtime
) -> None:
    given: list[Limits] = []

    async def engine(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        given.append(limits)
        for url in urls:
            yield Fetched(url, status_code=200)

    monkeypatch.setattr(fetcher_jobs, "fetch_all", engine)
    await sign_in()
    options = {"per_host": 2, "delay": 1.5, "url_seconds": 7, "retries": 0}
    created = await client.post(BATCHES, json={"urls": URLS, **options})
    assert {name: created.json()[name] for name in options} == options
    await jobs.run()
    await client.post(BATCHES, json={"urls": URLS})
    await jobs.run()
    usual = runtime.conf(FetcherSettings).limits(fetcher_jobs.BATCH_SECONDS)
    assert given == [replace(usual, per_host=2, delay=1.5, url_seconds=7, retries=0), usual]


@pytest.mark.parametrize(
    "option",
    [{"per_host": 11}, {"url_seconds": 21}, {"per_host": 0}, {"delay": 61}, {"delay": -1}, {"retries": 6}, {"urls": 5}],
)
async def test_more_than_the_site_allows_is_refused(
    option: dict[str, int],
    client: httpx2.AsyncClient,
    sign_in: SignIn,
    configure: Configure,
) -> None:
    configure(MAX_URLS=4)
    await sign_in()
    data = {"urls": [f"{URLS[0]}{number}" for number in range(option.get("urls", 1))]}
    answer = await client.post(BATCHES, json=option | data)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(option)))


async def test_what_failed_is_tried_again_and_nothing_else(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, script: Script
) -> None:
    script.answers |= {"b.example": 404, "c.example": FetchError(Failure.BLOCKED)}
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    assert (await client.post(f"{address}/retry")).status_code == 409
    await jobs.run()
    assert await state(client, address) == ["done", 3, 1, 1]
    script.answers.clear()
    script.asked.clear()
    again = (await client.post(f"{address}/retry")).json()
    assert [again[name] for name in ("status", "done", "ended_at")] == ["queued", 1, None]
    await jobs.run()
    assert await state(client, address) == ["done", 3, 0, 0]
    assert script.asked == URLS[1:]
    assert (await client.post(f"{address}/retry")).status_code == 409


async def test_a_stopped_batch_goes_on_when_it_is_tried_again(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, script: Script
) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await client.post(f"{address}/cancel")
    await client.post(f"{address}/retry")
    await jobs.run()
    assert await state(client, address) == ["done", 3, 0, 0]
    assert script.asked == URLS


async def test_a_job_of_before_records_nothing_any_more(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = fetch_all
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]

    async def overtaken(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        monkeypatch.setattr(fetcher_jobs, "fetch_all", engine)
        await client.post(f"{address}/cancel")
        await client.post(f"{address}/retry")
        for url in urls:
            yield Fetched(url, status_code=500)

    monkeypatch.setattr(fetcher_jobs, "fetch_all", overtaken)
    await jobs.run()
    assert await state(client, address) == ["done", 3, 0, 0]


async def test_a_batch_is_deleted_with_its_results(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in()
    done = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await jobs.run()
    waiting = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    for address in (done, waiting):
        assert (await client.delete(address)).status_code == 204
        assert (await client.get(f"{address}/results")).status_code == 404
    assert await jobs.run() == []
    assert [job.state for job in await jobs.all()] == [State.DONE, State.CANCELLED]


async def test_trying_again_counts_too(
    client: httpx2.AsyncClient,
    sign_in: SignIn,
    jobs: Jobs,
    script: Script,
    configure: Configure,
) -> None:
    configure(URLS_PER_DAY=4)
    script.answers |= {"b.example": 404, "c.example": 404}
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await jobs.run()
    assert (await client.post(f"{address}/retry")).status_code == 429
    assert await state(client, address) == ["done", 3, 2, 0]


@pytest.mark.parametrize("how", ["cancelled", "dead"])
async def test_a_batch_whose_job_ended_without_it_is_stopped(
    how: str, client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(urls: Iterable[str], limits: Limits, transport: Transport) -> AsyncGenerator[Fetched, None]:
        for _ in urls:
            raise RuntimeError("the machine")
        yield Fetched("")

    monkeypatch.setattr(fetcher_jobs, "fetch_all", failing)
    await sign_in()
    address, other = [(await client.post(BATCHES, json={"urls": URLS})).headers["Location"] for _ in range(2)]
    job = await jobs.only("fetcher.run_batch", batch_id=address.rpartition("/")[2])
    if how == "cancelled":
        await client.post(f"/api/v1/jobs/{job.id}/cancel")
    else:
        while {each.state for each in await jobs.all()} != {State.DEAD}:
            await jobs.run()
            await jobs.pass_time(3600)
        other = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    async with jobs.runtime.unit_of_work() as db:
        await close_stranded(db)
    assert [(await state(client, each))[0] for each in (address, other)] == ["cancelled", "queued"]


async def test_batches_are_found_again(client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in()
    for title in ("Docs of May", "100 % of June", "Odds"):
        await client.post(BATCHES, json={"urls": URLS, "title": title})
    first = (await client.get(BATCHES, params={"q": "docs"})).json()["items"][0]
    await client.post(f"{BATCHES}/{first['id']}/cancel")

    async def titles(**query: str) -> list[str]:
        return [each["title"] for each in (await client.get(BATCHES, params=query)).json()["items"]]

    assert await titles() == ["Odds", "100 % of June", "Docs of May"]
    assert await titles(q="O") == ["Odds", "100 % of June", "Docs of May"]
    assert await titles(q="%") == ["100 % of June"]
    assert await titles(q="_") == []
    assert await titles(status="cancelled") == ["Docs of May"]
    assert (await client.get(BATCHES, params={"status": "lost"})).status_code == 422


async def test_nobody_else_changes_a_batch(app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in()
    address = (await client.post(BATCHES, json={"urls": URLS})).headers["Location"]
    await sign_in_as(client, app, await add_user(app, "bob@example.com", is_staff=True))
    for method, path in (
        *(("DELETE", ""), ("POST", "/retry"), ("POST", "/cancel")),
        *(("GET", "/events"), ("GET", "/export"), ("GET", "/results")),
    ):
        assert (await client.request(method, address + path)).status_code == 404, path
