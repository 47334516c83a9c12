"""Tracing with OpenTelemetry, off by default: request → SQL → job → outgoing call are one trace.

FastAPI makes the spans of requests itself as soon as there is a provider. Here are the provider and the other three.
What leaves the process is W3C Trace Context's `traceparent` alone: `baggage` may hold what others must not read.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event
from sqlalchemy.engine import Engine

from project.core.conf import Settings
from project.core.errors import ConfigurationError
from project.core.log import MASK

NAME = "uptempo"
PROPAGATOR = TraceContextTextMapPropagator()


@asynccontextmanager
async def tracing(settings: Settings, *engines: Engine) -> AsyncIterator[None]:
    """Trace what this process does, if OPENTELEMETRY says so; raises ConfigurationError without the packages.

    The SDK reads its own variables from the environment, such as OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME.
    A provider that somebody has set already is used as it is.
    """
    if not settings.OPENTELEMETRY:
        yield
        return
    made = _provider() if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider) else None
    for engine in engines:
        trace_sql(engine)
    try:
        yield
    finally:
        if made:
            await asyncio.to_thread(made.shutdown)  # it sends what it still has


def _provider() -> Any:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        lock = "project/requirements/opentelemetry.lock"
        raise ConfigurationError(f"OPENTELEMETRY is set, but its packages are missing: pip install -r {lock}") from None

    class Discreet(SpanProcessor):
        """Leaves out queries, as the logs do: FastAPI tells them whole, tokens included."""

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if "url.query" in (span.attributes or {}):
                span.set_attribute("url.query", MASK)

    provider = TracerProvider()
    provider.add_span_processor(Discreet())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return provider


def trace_sql(engine: Engine) -> None:
    """A span for each statement that belongs to a trace: its text, never its values."""
    tracer, system = trace.get_tracer(NAME), {"db.system.name": engine.dialect.name}

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
        if trace.get_current_span().is_recording():
            told = system | {"db.query.text": statement}
            context.span = tracer.start_span(statement.split(None, 1)[0], kind=SpanKind.CLIENT, attributes=told)

    @event.listens_for(engine, "after_cursor_execute")
    def _end(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
        if span := getattr(context, "span", None):
            span.end()

    @event.listens_for(engine, "handle_error")
    def _fail(told: Any) -> None:
        if span := getattr(told.execution_context, "span", None):
            span.set_status(StatusCode.ERROR, type(told.original_exception).__name__)
            span.end()


def traceparent() -> str | None:
    """The present span for somebody else to go on from; None where nothing is traced."""
    carrier: dict[str, str] = {}
    PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def span(name: str, kind: SpanKind, attributes: Mapping[str, str], parent: str | None = None) -> Iterator[Span]:
    """A span of our own, under the present one or that of a `traceparent`; errors are told by their type alone."""
    begun = trace.get_tracer(NAME).start_as_current_span(
        name,
        PROPAGATOR.extract({"traceparent": parent}) if parent else None,
        kind,
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    )
    with begun as current:
        try:
            yield current
        except BaseException as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def outgoing(method: str, host: str) -> Iterator[dict[str, str]]:
    """Around a call to another server: gives the headers by which the trace goes on there, none where there is none."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield {}
        return
    with span(method, SpanKind.CLIENT, {"http.request.method": method, "server.address": host}):
        yield {"traceparent": traceparent() or ""}
