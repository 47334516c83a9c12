"""Metrics: for whoever holds the token, by route template, of every process; also while something is away."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError

from apps.accounts.testing import SignIn
from project.core import enqueue, metrics
from project.core.metrics import Counter, Gauge, Histogram, as_text, figures
from project.core.reporting import Report, reporting
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.web import edge

TOKEN = {"authorization": "Bearer let me see"}


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """A site with a token."""
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, METRICS_TOKEN="let me see")) as app:
        yield app


@pytest.fixture
def scraper(site: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on it that holds the token."""
    client = new_client(site)
    client.headers |= TOKEN
    return client


def value(text: str, name: str, **labels: str) -> float:
    """The one sample of this name with these labels, whatever its others are."""
    lines = re.findall(rf"^uptempo_{name}(?:{{(.*)}})? (\S+)$", text, re.M)
    found = [
        float(number) for inside, number in lines if all(f'{key}="{label}"' in inside for key, label in labels.items())
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@asynccontextmanager
async def counted(client: httpx2.AsyncClient, name: str, **labels: str) -> AsyncIterator[list[float]]:
    """By how much a sample grows meanwhile."""

    async def now() -> float:
        try:
            return value((await client.get("/metrics")).text, name, **labels)
        except AssertionError:
            return 0.0

    before, grown = await now(), list[float]()
    yield grown
    grown.append(await now() - before)


@pytest.mark.any_database
async def test_they_are_for_whoever_holds_the_token(site: FastAPI, new_client: NewClient) -> None:
    client = new_client(site)
    for headers in ({}, {"authorization": "Bearer let me"}, {"authorization": "Bearer "}):
        assert (await client.get("/metrics", headers=headers)).status_code == 404
    told = await client.get("/metrics", headers=TOKEN)
    assert (told.status_code, told.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


@pytest.mark.any_database
async def test_without_a_token_there_are_none(client: httpx2.AsyncClient) -> None:
    for headers in ({}, {"authorization": "Bearer "}):
        assert (await client.get("/metrics", headers=headers)).status_code == 404


async def test_the_site_s_own_numbers_have_no_process(site: FastAPI, scraper: httpx2.AsyncClient) -> None:
    async with site.state.runtime.unit_of_work() as db:
        await enqueue(db, "core.sweep")
    told = (await scraper.get("/metrics")).text
    assert "# TYPE uptempo_jobs_queued gauge\nuptempo_jobs_queued 1\n" in told
    assert "\nuptempo_database_up 1\n" in told
    assert 0 < value(told, "disk_free_ratio") <= 1
    for pool in ("write", "read") if site.state.runtime.database.is_sqlite else ("all",):
        assert value(told, "db_connections_in_use", pool=pool) == 0
        assert value(told, "db_connections_kept", pool=pool) >= 1


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("path", "route", "status"),
    [
        ("/health/live", "/health/live", "200"),
        ("/api/v1/jobs/0198c2a0-0000-7000-8000-000000000000", "/api/v1/jobs/{job_id}", "401"),
        ("/static/css/site.css", "/static/{path}", "200"),
        ("/nothing/here", "none", "404"),
        ("/nothing/there?x=1", "none", "404"),
    ],
)
async def test_a_request_is_counted_by_its_template(
    scraper: httpx2.AsyncClient, path: str, route: str, status: str
) -> None:
    async with (
        counted(scraper, "http_requests_total", method="GET", route=route, status=status) as requests,
        counted(scraper, "http_request_seconds_count", method="GET", route=route) as timed,
    ):
        await scraper.get(path)
    assert (requests, timed) == ([1], [1])
    text = (await scraper.get("/metrics")).text
    assert "/nothing" not in text
    assert value(text, "http_requests_under_way") == 1


@pytest.mark.any_database
async def test_so_is_one_of_the_admin_and_of_a_strange_method(client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    await sign_in(is_superuser=True)
    await client.get("/admin/user/list")
    await client.request("FROBNICATE", "/")
    seen = edge.REQUESTS.series
    assert ("GET", "/admin/{identity}/list", "200") in seen
    assert {method for method, _, _ in seen} <= edge.METHODS | {"other"}


@pytest.mark.any_database
async def test_they_are_told_while_the_database_is_away(
    site: FastAPI, scraper: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: object) -> None:
        raise OperationalError("SELECT 1", {}, Exception("away"))

    await scraper.get("/metrics")
    monkeypatch.setattr(site.state.runtime, "unit_of_work", away)
    told = await scraper.get("/metrics")
    assert told.status_code == 200
    assert value(told.text, "database_up") == 0
    assert "uptempo_jobs_queued " not in told.text


@pytest.mark.any_database
async def test_a_job_is_counted_by_its_outcome(jobs: Jobs, runtime: Runtime) -> None:
    from project.core.jobs.executor import TOOK

    def done() -> float:
        return sum(TOOK.series.get(("core.sweep", "done"), [0])[:-1])

    before = done()
    async with runtime.unit_of_work() as db:
        await enqueue(db, "core.sweep")
    await jobs.run()
    assert done() == before + 1


@pytest.mark.any_database
async def test_whoever_is_asked_answers_for_every_process(
    backend: Databases,
    make_settings: MakeSettings,
    redis_url: str,
    new_client: NewClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with backend.copy() as url:
        settings = make_settings(DATABASE_URL=url, REDIS_URL=redis_url, METRICS_TOKEN="let me see")
        async with running(settings) as app, Runtime(settings) as elsewhere:
            told = asyncio.Event()
            leave = Report._leave

            async def and_say_so(self: Report) -> None:
                await leave(self)
                told.set()

            monkeypatch.setattr(Report, "_leave", and_say_so)
            async with reporting(elsewhere, "worker") as worker:
                await told.wait()
                text = (await new_client(app).get("/metrics", headers=TOKEN)).text
                assert value(text, "connections_open", kind="socket", process=app.state.report.process) == 0
                assert value(text, "connections_open", kind="socket", process=worker.process) == 0
                assert text.count("# TYPE uptempo_connections_open gauge") == 1
                assert text.count("\nuptempo_jobs_queued ") == 1
            redis = app.state.report.redis
            await redis.delete(f"uptempo:metrics{worker.process}")  # as its time to live does
            assert worker.process not in (await new_client(app).get("/metrics", headers=TOKEN)).text
            assert worker.process.encode() not in await redis.smembers("uptempo:metrics")


@pytest.mark.any_database
async def test_while_redis_is_away_each_process_answers_for_itself(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    async with backend.copy() as url:
        settings = make_settings(DATABASE_URL=url, REDIS_URL="redis://127.0.0.1:1", METRICS_TOKEN="let me see")
        async with running(settings) as app:
            told = await new_client(app).get("/metrics", headers=TOKEN)
    assert value(told.text, "http_requests_under_way", process=app.state.report.process) == 1


@pytest.fixture
def none_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No metric but those that the test makes."""
    monkeypatch.setattr(metrics, "_metrics", [])


@pytest.mark.usefixtures("none_yet")
def test_the_text_is_prometheus_own_format() -> None:
    sent, took = Counter("mails_total", "Mails.", "kind"), Histogram("mail_seconds", "How long.")
    Gauge("rooms", "Rooms.", of_site=True).set(3)
    sent.add('a "b"\n\\c')
    sent.add('a "b"\n\\c', by=2)
    took.observe(0.02)
    took.observe(99)
    assert as_text(figures()) == "# HELP uptempo_rooms Rooms.\n# TYPE uptempo_rooms gauge\nuptempo_rooms 3\n"
    text = as_text(figures("web:a:1"), figures("web:b:2"))
    assert text.startswith(
        "# HELP uptempo_mails_total Mails.\n# TYPE uptempo_mails_total counter\n"
        r'uptempo_mails_total{kind="a \"b\"\n\\c",process="web:a:1"} 3' + "\n"
        r'uptempo_mails_total{kind="a \"b\"\n\\c",process="web:b:2"} 3' + "\n"
    )
    for line in ('bucket{process="web:a:1",le="0.01"} 0', 'bucket{process="web:a:1",le="0.025"} 1'):
        le = line.replace('process="web:a:1",le', "le").replace('"} ', '",process="web:a:1"} ')
        assert f"\nuptempo_mail_seconds_{le}\n" in text
    assert '\nuptempo_mail_seconds_bucket{le="+Inf",process="web:a:1"} 2\n' in text
    assert '\nuptempo_mail_seconds_count{process="web:a:1"} 2\n' in text
    assert '\nuptempo_mail_seconds_sum{process="web:a:1"} 99.02\n' in text


@pytest.mark.usefixtures("none_yet")
def test_a_label_that_somebody_chooses_after_all_does_not_fill_the_memory() -> None:
    sent = Counter("mails_total", "Mails.", "to")
    for number in range(metrics.MOST + 500):
        sent.add(f"user{number}@example.com")
    assert len(sent.series) == metrics.MOST + 1
    assert sent.series["other",] == 500
