"""Logs: one JSON object a line, secrets masked, never waiting."""

import io
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from queue import Queue

import pytest

from project.core import log
from project.core.log import MASK, DroppingQueueHandler, about, configured, redact, user_id
from project.core.testing.plugin import MakeSettings

Lines = Callable[[], list[dict[str, object]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, make_settings: MakeSettings) -> Iterator[Lines]:
    """What the configured logging wrote, line by line; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    output = io.StringIO()
    monkeypatch.setattr("sys.stderr", output)
    with ExitStack() as open_:
        open_.enter_context(configured(make_settings(LOG_LEVEL="INFO", LOG_FORMAT="json")))

        def read() -> list[dict[str, object]]:
            open_.close()
            return [json.loads(line) for line in output.getvalue().splitlines()]

        yield read
    assert root.handlers == handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgresql://user:pa55word@db/x", "pa55word"),
        ("Authorization: Bearer abcdefgh12345", "abcdefgh12345"),
        ("password=hunter2&x=1", "hunter2"),
        ('{"access_token": "eyJhbGciOi"}', "eyJhbGciOi"),
        ("reset_token=abc.def.ghi", "abc.def.ghi"),
        ("Cookie: sid=0123456789abcdef", "0123456789abcdef"),
        ("SECRET_KEY='s3cr3t-k3y'", "s3cr3t-k3y"),
        ("bearer ABCDEFGHIJ", "ABCDEFGHIJ"),
        ("hashed_password='$argon2id$v=19$m=1,t=2,p=1$c2FsdA$aGFzaA'", "aGFzaA"),
        ("row: $argon2id$v=19$m=1,t=2,p=1$c2FsdA$aGFzaA", "aGFzaA"),
        ("password=correct horse battery staple", "staple"),
        ("password='it, has; signs & more'", "more"),
        ("SecretStr('hunter2') password=SecretStr('hunter3')", "hunter3"),
        ("postgresql://u:pa/ss@w0rd@h/d", "w0rd"),
        ("got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl here", "c2lnbmF0dXJl"),
        ("sid=0123456789abcdef", "0123456789abcdef"),
        ("x-api-key: abc123", "abc123"),
        ("pwd=abc123", "abc123"),
        ("passphrase: open sesame", "sesame"),
    ],
)
def test_secrets_in_text_are_masked(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert MASK in redact(text)


@pytest.mark.parametrize("part", ["x", "-", "token", "token-", "token='", "://", "://a:", "eyJ-", "bearer "])
def test_no_text_that_visitors_can_send_keeps_the_process_busy(part: str) -> None:
    began = time.thread_time()
    redact(part * (16_000 // len(part)))
    assert time.thread_time() - began < 0.5


def test_a_text_without_end_is_cut_before_it_is_searched() -> None:
    began = time.thread_time()
    assert len(redact("x" * 50_000_000)) == log.LONGEST
    assert time.thread_time() - began < 0.5


def test_ordinary_text_stays() -> None:
    assert redact("12 rows saved at http://example.com/a?b=c") == "12 rows saved at http://example.com/a?b=c"


def test_a_log_line_is_one_json_object_with_secrets_masked(lines: Lines) -> None:
    token = log.request_id.set("abc12345")
    log.get_logger("app").info("signed in", password="hunter2", user="ann\n\x1b[31m", nested={"token": "t0ken"})
    logging.getLogger("other").warning("connecting to postgresql://u:pa55@db/x")
    try:
        raise RuntimeError("secret_key=abcdef")
    except RuntimeError:
        log.get_logger("app").exception("failed")
    log.request_id.reset(token)
    found = lines()
    assert len(found) == 3
    text = json.dumps(found)
    for secret in ("hunter2", "t0ken", "pa55", "abcdef"):
        assert secret not in text
    assert {line["request_id"] for line in found} == {"abc12345"}


def test_a_line_names_the_request_the_user_and_the_job_that_it_belongs_to(lines: Lines) -> None:
    with about("request-1", job="job-1"):
        user_id.set("user-1")  # as soon as it is known
        logging.getLogger("any.library").warning("inside")
    logging.getLogger("any.library").warning("outside")
    inside, outside = lines()
    ids = {"request_id": "request-1", "user_id": "user-1", "job_id": "job-1"}
    assert ids.items() <= inside.items()
    assert not ids.keys() & outside.keys()


def test_a_full_queue_drops_lines_and_counts_them() -> None:
    handler, before = DroppingQueueHandler(Queue(maxsize=1)), log.DROPPED.series.get((), 0)
    for _ in range(3):
        handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "line", None, None))
    assert log.DROPPED.series[()] - before == 2
