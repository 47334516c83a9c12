"""Logs: one line per event, with the ids of request, user and job, secrets masked, written off the event loop."""

import logging
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from logging.handlers import QueueHandler, QueueListener
from queue import Full, Queue
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter

from project.core.conf import Settings
from project.core.metrics import Counter

request_id: ContextVar[str] = ContextVar("request_id", default="")
user_id: ContextVar[str] = ContextVar("user_id", default="")
job_id: ContextVar[str] = ContextVar("job_id", default="")
CONTEXT = (request_id, user_id, job_id)
DROPPED = Counter("log_lines_dropped_total", "Lines that the output was too slow for.")

MASK = "********"
OURS = "uptempo"  # the name of our handler of the root logger
LONGEST = 100_000  # characters of one text
SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|pwd|secret|token|cookie|authorization|api[_-]?key|credential|session_?key|dsn|\bsid\b", re.I
)
# Visitors write what is logged: no text may cost more than linear time, so each repeat is bounded or begins once.
_NAMED = (
    r"(?i)((?:(?:pass(?:word|wd|phrase)|pwd|secret|token|cookie|authorization|api[_-]?key)[\w-]{0,40}|\bsid)"
    r"[\"']?\s{0,9}[=:]\s{0,9})"
)
PATTERNS = [
    (re.compile(r"(?<!\S)((?>\S*?://[^\s:/@]*:))\S+(?=@)"), rf"\1{MASK}"),
    (re.compile(_NAMED + r"((?:\w{1,40}\()?)([\"'])(?:(?!\3).)*\3"), rf"\1\2\3{MASK}\3"),
    (re.compile(_NAMED + r"(?!(?:\w{1,40}\()?[\"'])[^\n&,;]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s{1,9}[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\$argon2\S+|(?<![\w-])(?:eyJ[\w-]+\.[\w-]+\.[\w-]*|up[rt]_[\w.-]{20,})"), MASK),
]


def redact(text: str) -> str:
    """Mask passwords in URLs, values with a secret's name, credentials, hashes, signed tokens; cut what is endless."""
    text = text[:LONGEST]
    for pattern, masked in PATTERNS:
        text = pattern.sub(masked, text)
    return text


def masked(name: str, value: Any) -> Any:
    """The value for people's eyes: hidden when its name is a secret's, and with all secrets inside it masked."""
    if SECRET_NAME.search(name) and value not in (None, "", True, False):
        return MASK
    if isinstance(value, (str, bytes)):
        return redact(value if isinstance(value, str) else repr(value))
    if isinstance(value, dict):
        return {key: masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(name, inner) for inner in value]
    return value


def _redacted(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: masked(key, value) for key, value in event.items()}


class DroppingQueueHandler(QueueHandler):
    """Hands records to the writer thread; when a blocked output fills the queue, lines drop, counted."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except Full:
            DROPPED.add()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        record.context = {var.name: value for var in CONTEXT if (value := var.get())}
        return record


def _with_context(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in getattr(event["_record"], "context", {}).items():
        event.setdefault(name, value)
    return event


@contextmanager
def about(request: str, user: str = "", job: str = "") -> Iterator[None]:
    """Let every line written inside name these ids; who is asking is added as soon as it is known."""
    tokens = [(var, var.set(value)) for var, value in zip(CONTEXT, (request, user, job), strict=True)]
    try:
        yield
    finally:
        for var, token in tokens:
            var.reset(token)


def configure(settings: Settings) -> logging.Handler:
    """Send all logs, the standard library's too, through one formatter; who logs waits until the line is written."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    json = not settings.DEBUG if settings.LOG_FORMAT == "auto" else settings.LOG_FORMAT == "json"
    render: Any = (
        structlog.processors.JSONRenderer(default=str)
        if json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=32)
    )
    output = logging.StreamHandler()
    output.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[_with_context, ProcessorFormatter.remove_processors_meta, _redacted, render],
        )
    )
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "arq"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    logging.getLogger().setLevel(settings.LOG_LEVEL)
    _use(output)
    return output


def _use(*handlers: logging.Handler) -> list[logging.Handler]:
    """Put these in the place of those that were ours before, and return those."""
    root = logging.getLogger()
    former = [each for each in root.handlers if each.name == OURS]
    root.handlers[:] = [each for each in root.handlers if each not in former] + list(handlers)
    for each in handlers:
        each.name = OURS
    return former


@contextmanager
def configured(settings: Settings) -> Iterator[None]:
    """The same from a thread of its own, so that nobody waits; until the end, when the last lines are written."""
    former = _use()
    queue: Queue[logging.LogRecord] = Queue(maxsize=10_000)
    writer = QueueListener(queue, configure(settings))
    _use(DroppingQueueHandler(queue))
    writer.start()
    try:
        yield
    finally:
        writer.stop()
        _use(*former)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger that takes an event and named values: `log.info("sent", count=3)`."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
