"""What the database is asked, for whom and how long it takes: counted for each request, logged where it is slow."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

from greenlet import getcurrent
from sqlalchemy import Engine, event

from project.core.conf import ROOT
from project.core.log import get_logger

log = get_logger(__name__)
KEPT, LONGEST = 500, 2000  # statements of one request; characters of one statement
CORE = "project/core/"
CONTROL = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")  # these take time, but nobody wrote them


def template(scope: Mapping[str, Any]) -> str:
    """The template of the route that a request has found, such as /blog/posts/{post_id}; nothing while it has none."""
    found: Any = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return scope.get("root_path", "") + found.path_format if hasattr(found, "path_format") else ""


class Statement(NamedTuple):
    """One statement that was executed.

    Attributes:
        sql: in one line, without its values.
        seconds: until all its rows were there.
        place: the innermost line of the site's own code on the way to it, `apps/blog/services.py:41`.
        loads: what the ORM looked for, `Post.author` for a relationship; told by the test kit only.
    """

    sql: str
    seconds: float
    place: str
    loads: str


@dataclass(slots=True)
class Recording:
    """What is asked for one request, as it goes on: how often, how long; with `keep`, the first KEPT statements."""

    keep: bool = False
    scope: Mapping[str, Any] = field(default_factory=dict)
    count: int = 0
    seconds: float = 0
    statements: list[Statement] = field(default_factory=list)

    @property
    def route(self) -> str:
        """The template of the route that answers, such as `GET /blog/posts/{post_id}`; the path before one is found."""
        return f"{self.scope.get('method', '')} {template(self.scope) or self.scope.get('path', '')}".strip()

    def timing(self, seconds: float) -> str:
        """The value of a Server-Timing header (W3C) for an answer that begins after `seconds`."""
        sql = f'sql;dur={self.seconds * 1000:.1f};desc="{self.count} queries"'
        return f"app;dur={seconds * 1000:.1f}, {sql}"


current: ContextVar[Recording | None] = ContextVar("recording", default=None)


@contextmanager
def recorded() -> Iterator[Recording]:
    """Keep every statement from here on, those of the requests that are made here too."""
    outer = current.get()
    token = current.set(recording := Recording(keep=True))
    try:
        yield recording
    finally:
        current.reset(token)
        if outer is not None:
            outer.count, outer.seconds = outer.count + recording.count, outer.seconds + recording.seconds
            outer.statements += recording.statements


def watch(engine: Engine, slow: float) -> None:
    """Tell whoever records of each statement; log those that take `slow` seconds and more, unless that is 0."""

    @event.listens_for(engine, "before_cursor_execute")
    def _begin(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
        context.began = perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def _end(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
        _note(statement, context, slow)

    @event.listens_for(engine, "handle_error")
    def _fail(error: Any) -> None:  # what took too long to be waited for is the slowest of all
        if hasattr(error.execution_context, "began"):
            _note(error.statement, error.execution_context, slow)


def _note(statement: str, context: Any, slow: float) -> None:
    seconds, asked = perf_counter() - vars(context).pop("began"), current.get() or Recording()
    query = not statement.startswith(CONTROL)
    asked.count += query
    asked.seconds += seconds
    late, kept = 0 < slow <= seconds, query and asked.keep and len(asked.statements) < KEPT
    if late or kept:
        sql, loads = " ".join(statement.split())[:LONGEST], context.execution_options.get("loads", "")
        told = Statement(sql, seconds, _place(), loads)
        if kept:
            asked.statements.append(told)
        if late:
            log.warning("slow query", ms=round(seconds * 1000, 1), route=asked.route, place=told.place, sql=sql)


def _place() -> str:
    """The innermost line of an app's code, else of the framework's, that is being executed."""
    found = ""
    for frame in _frames():
        name = own(frame.f_code.co_filename)
        if name and not name.startswith((f"{CORE}db/", "manage.py")):
            found = found if found and name.startswith(CORE) else f"{name}:{frame.f_lineno}"
            if not name.startswith(CORE):
                break
    return found


@cache
def own(filename: str) -> str:
    """The path inside the project of a file that belongs to it, else nothing."""
    path = Path(filename)
    outside = not path.is_relative_to(ROOT) or "site-packages" in path.parts
    return "" if outside else path.relative_to(ROOT).as_posix()


def _frames() -> Iterator[FrameType]:
    """From here outwards; SQLAlchemy runs in a greenlet, and whoever awaits it stands in its parent."""
    here: Any = getcurrent()
    frame: FrameType | None = sys._getframe(1)
    while here is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        here = here.parent
        frame = here and here.gr_frame
