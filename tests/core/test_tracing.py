"""Tracing: request, SQL, job and outgoing call are one trace; off, nothing is made of it."""

from collections.abc import AsyncIterator

import aiohttp
import httpx2
import pytest
from aiohttp import web
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from project.core import DB, Running, enqueue, job
from project.core.errors import ConfigurationError
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.tracing import outgoing, tracing

Elsewhere = tuple[str, list[dict[str, str]]]
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "baggage": "plan=secret"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """A provider that keeps the spans, for this test."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return kept


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    """Another server's address, and the headers of what it was asked."""
    heard: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        heard.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", heard
    await runner.cleanup()


@pytest.fixture
async def traced(
    backend: Databases,
    make_settings: MakeSettings,
    spans: InMemorySpanExporter,
    elsewhere: Elsewhere,
) -> AsyncIterator[FastAPI]:
    """A site that is traced, with an address that enqueues a job, which asks another server."""

    @job()
    async def call(running: Running) -> None:
        async with running.runtime.unit_of_work(write=False) as db:
            await db.execute(text("SELECT 'in the job'"))
        with outgoing("GET", "127.0.0.1") as headers:
            async with aiohttp.ClientSession() as session, session.get(elsewhere[0], headers=headers) as answer:
                assert answer.status == 200

    async def order(db: DB) -> None:
        await enqueue(db, "probe.call")

    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, OPENTELEMETRY=True)) as app:
        app.state.runtime.registry.jobs["probe.call"] = call
        app.add_api_route("/order", order, methods=["POST"])
        yield app


async def test_a_request_its_sql_its_job_and_what_that_calls_are_one_trace(
    traced: FastAPI, new_client: NewClient, spans: InMemorySpanExporter, elsewhere: Elsewhere
) -> None:
    assert (await new_client(traced).post("/order", headers=TRACEPARENT)).status_code == 200
    await Jobs(traced.state.runtime).run()
    found = {each.name: each for each in spans.get_finished_spans() if each.context}
    mine = [each for each in found.values() if f"{each.context.trace_id:032x}" == TRACE]
    request, run, call = found["POST /order"], found["probe.call"], found["GET"]
    assert {request, run, call, found["INSERT"]} <= set(mine)
    assert span_id(run.parent) in {span_id(each.context) for each in mine if each is not run}
    assert span_id(call.parent) == span_id(run.context)
    sql = [
        each for each in spans.get_finished_spans() if "in the job" in str((each.attributes or {}).get("db.query.text"))
    ]
    assert [span_id(each.parent) for each in sql] == [span_id(run.context)]
    (heard,) = elsewhere[1]
    assert heard["traceparent"] == f"00-{TRACE}-{span_id(call.context)}-01"
    assert "baggage" not in heard


def span_id(context: object) -> str:
    return f"{context.span_id:016x}" if isinstance(context, trace.SpanContext) else ""


async def test_a_statement_is_told_without_its_values_and_an_error_by_its_type(
    traced: FastAPI, spans: InMemorySpanExporter
) -> None:
    with trace.get_tracer("test").start_as_current_span("request"):
        async with traced.state.runtime.database.sessions[False]() as db:
            await db.execute(text("SELECT :word"), {"word": "hunter2"})
            with pytest.raises(DBAPIError):
                await db.execute(text("SELECT no_such_thing"))
    told = [each for each in spans.get_finished_spans() if each.name == "SELECT"]
    assert [each.status.status_code for each in told] == [StatusCode.UNSET, StatusCode.ERROR]
    assert "hunter2" not in "".join(each.to_json() for each in told)


async def test_what_belongs_to_no_trace_makes_none(traced: FastAPI, spans: InMemorySpanExporter) -> None:
    async with traced.state.runtime.unit_of_work(write=False) as db:
        await db.execute(text("SELECT 1"))
    with outgoing("GET", "example.com") as headers:
        assert headers == {}
    assert spans.get_finished_spans() == ()


@pytest.mark.any_database
async def test_off_nothing_is_carried_and_no_statement_is_listened_to(
    client: httpx2.AsyncClient, app: FastAPI, jobs: Jobs
) -> None:
    async with app.state.runtime.unit_of_work() as db:
        await enqueue(db, "core.sweep")
    assert (await jobs.only("core.sweep")).traceparent is None
    for engine in app.state.runtime.database.engines.values():
        assert "trace_sql" not in str(list(engine.sync_engine.dispatch.before_cursor_execute))


@pytest.mark.any_database
async def test_without_the_packages_the_start_says_what_to_install(make_settings: MakeSettings) -> None:
    with pytest.raises(ConfigurationError, match=r"requirements/opentelemetry\.lock"):
        async with tracing(make_settings(OPENTELEMETRY=True)):
            pass
