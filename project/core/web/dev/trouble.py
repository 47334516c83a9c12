"""The page of a bug: what was raised and where, what was at hand there, what the database had been asked."""

import asyncio
import linecache
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from types import FrameType
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from project.core.db import recording
from project.core.log import MASK, get_logger, masked, redact
from project.core.web.htmx import is_htmx

log = get_logger(__name__)
AROUND, LONGEST, MOST = 5, 400, 40  # lines around the one that failed; characters of a value; values of a frame

CLAUSE = re.compile(r" (FROM|(?:LEFT OUTER )?JOIN|WHERE|GROUP BY|ORDER BY|VALUES|SET|RETURNING) ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One call on the way to the error.

    Attributes:
        place: the file, from the project's folder or from the library's.
        line: the number of the line.
        function: its name.
        own: True for the site's code, False for the framework's and for libraries.
        parts: its text in three: what Python was at is the middle one, or nothing.
        source: the lines around it and itself, {number: text}.
        values: what was at hand, in words; of the site's own code, and where it was raised.
    """

    place: str
    line: int
    function: str
    own: bool
    parts: tuple[str, str, str]
    source: dict[int, str]
    values: dict[str, str]

    @property
    def library(self) -> str:
        """Whose code it is, in a word."""
        return "project/core" if self.place.startswith(recording.CORE) else self.place.split("/")[0] or "Python"


async def explain(request: Request, error: Exception) -> Response | None:
    """The page, for a browser; None for other clients, who get what production says."""
    if "text/html" not in request.headers.get("accept", "") and not is_htmx(request):
        return None
    if request.method == "GET" and "hx-boosted" in request.headers:
        return Response(status_code=500, headers={"HX-Redirect": str(request.url)})
    try:
        context = await asyncio.to_thread(_context, request, error)
        html = request.app.state.templates.get_template("core/dev/trouble.html").render(context)
    except Exception:
        log.exception("the error page failed")
        return None
    return HTMLResponse(html, 500, {"Cache-Control": "no-store"})


def _context(request: Request, error: Exception) -> dict[str, Any]:
    asked = recording.current.get() or recording.Recording()
    return {
        "request": request,
        "masked": lambda name, value: MASK if name == "cookie" else str(masked(name, value)),
        "chain": [_raised(how, each) for how, each in _chain(error)],
        "text": redact("".join(traceback.format_exception(error))),
        "asked": asked,
        "sql": [(CLAUSE.sub(r"\n\1 ", sql), [*same]) for sql, same in groupby(asked.statements, lambda each: each.sql)],
    }


def _chain(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """What reached us first, then what led to it, each once."""
    waiting: list[tuple[str, BaseException]] = [("", error)]
    seen: set[int] = set()
    while waiting:
        how, each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield how, each
        waiting += [("Part of it", inner) for inner in getattr(each, "exceptions", ())]
        if each.__cause__ is not None:
            waiting.append(("Caused by", each.__cause__))
        elif each.__context__ is not None and not each.__suppress_context__:
            waiting.append(("While this was handled", each.__context__))


def _raised(how: str, error: BaseException) -> dict[str, Any]:
    """What the template tells of one exception; the innermost call comes first, those of libraries stand together."""
    kind, _, message = redact("".join(traceback.format_exception_only(error))).strip().partition(": ")
    raw = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    both = zip(raw, traceback.extract_tb(error.__traceback__), strict=True)
    calls = [_frame(frame, call, last=frame is raw[-1]) for frame, call in both][::-1]
    runs = [(own, list(group)) for own, group in groupby(calls, lambda each: each.own)]
    worst = next((each for each in calls if each.own), calls[0] if calls else None)
    return {"how": how, "kind": kind, "message": message, "runs": runs, "worst": worst}


def _frame(raw: FrameType, call: traceback.FrameSummary, *, last: bool) -> Frame:
    name, line = recording.own(call.filename), call.lineno or 0
    own = bool(name) and not name.startswith(recording.CORE)
    lines = linecache.getlines(call.filename, raw.f_globals)
    near = range(max(1, line - AROUND), min(len(lines), line + AROUND) + 1)
    source = {number: lines[number - 1].rstrip("\n") for number in near}
    text, (start, end) = source.get(line, ""), (0, 0)
    if call.end_lineno == line and call.filename.endswith(".py"):
        start, end = (len(text.encode()[:at].decode(errors="replace")) for at in (call.colno or 0, call.end_colno or 0))
    told = [(key, value) for key, value in raw.f_locals.items() if not callable(value)] if own or last else []
    values = {key: shown(key, value) for key, value in told[:MOST]}
    place = name or call.filename.rpartition("site-packages/")[2]
    return Frame(place, line, call.name, own, (text[:start], text[start:end], text[end:]), source, values)


def shown(name: str, value: object) -> str:
    """A value as the page shows it: secrets masked before what is long is cut, whatever its repr may do."""
    try:
        text = redact(repr(masked(name, value)))
    except Exception as error:
        return f"<{type(value).__name__}, whose repr raises {type(error).__name__}>"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"
