"""The one place where a refusal becomes words: a problem document, a page, or a closed socket."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy import exc
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketState

from project.core.db.session import lacks_table, sqlstate
from project.core.errors import DomainError, FieldError, Stale, Unavailable
from project.core.log import get_logger
from project.core.web.forms.reading import Answered
from project.core.web.validation import field_errors

log = get_logger(__name__)
WAIT_SECONDS = 2
PACED = {"too_many", "busy"}
PER_SECOND, AT_ONCE, HELD = 50, 20, 1.0
DENIAL = "websocket.http.response"  # a server that can refuse a socket in words says so
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class FieldProblem(BaseModel):
    """One broken rule of a request."""

    field: str = Field(description="The field's name, or empty for the whole request.")
    code: str = Field(description="A stable word for programs.")
    message: str = Field(description="What people read.")


class Problem(BaseModel):
    """A problem document (RFC 9457), the one shape of every refusal under /api."""

    type: str = Field(default="about:blank", description="Always about:blank; `code` tells problems apart.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: Any = Field(description="What happened and what to do.")
    code: str = Field(description="A stable word for programs.")
    errors: list[FieldProblem] = Field(default=[], description="The fields it is about.")
    request_id: str = Field(description="Give this when you ask for help; the log has it too.")


@dataclass(frozen=True)
class Refusal:
    """A refusal on its way to being answered."""

    status: int
    code: str
    detail: Any
    errors: Sequence[FieldError] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status in words."""
        return PHRASES.get(self.status, "Error")


F = TypeVar("F", bound=Callable[..., Any])
# What a visitor is told of a bug: nothing but the request id.
UNEXPECTED = Refusal(500, "internal_error", "Something went wrong on our side. It has been written down.")
UNSTORABLE = Refusal(422, "invalid", "Some of the data cannot be stored as it is.")
Voice = Callable[[Request, Refusal], Awaitable[Response | None]]
Explain = Callable[[Request, Exception], Awaitable[Response | None]]


def answers_with(voice: Voice) -> Callable[[F], F]:
    """Give one endpoint its own words for refusals; `voice` returns None to leave it to the usual ones.

    It only sets an attribute and wraps nothing.
    """

    def mark(endpoint: F) -> F:
        vars(endpoint)["__voice__"] = voice
        return endpoint

    return mark


async def answer(request: Request, refusal: Refusal, error: Exception | None = None) -> Response:
    """The response for a refusal: the endpoint's own voice, else JSON under /api and a page elsewhere.

    In development the page tells of a bug, which is the `error` that nobody expected.
    """
    voice: Voice | None = getattr(request.scope.get("endpoint"), "__voice__", None)
    own = await voice(request, refusal) if voice else None
    if own is not None:
        return own
    if f"{request.url.path}/".startswith("/api/"):
        return problem(request, refusal)
    from project.core.web.error_pages import error_page, to_login

    explain: Explain | None = getattr(request.app.state, "explain", None)
    if error is not None and explain and (told := await explain(request, error)):
        return told
    return to_login(request, refusal) or await error_page(request, refusal)


def problem(request: HTTPConnection, refusal: Refusal) -> Response:
    """The refusal as application/problem+json."""
    document = Problem(
        title=refusal.title,
        status=refusal.status,
        detail=refusal.detail,
        code=refusal.code,
        errors=[FieldProblem(field=e.field, code=e.code, message=e.message) for e in refusal.errors],
        request_id=getattr(request.state, "request_id", ""),
    )
    content, media_type = document.model_dump(mode="json"), "application/problem+json"
    return JSONResponse(content, refusal.status, refusal.headers, media_type)


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an expected exception means; any other is UNEXPECTED."""
    match error:
        case DomainError():
            return _of_domain(error)
        case RequestValidationError() if isinstance(error.body, bytes):
            return Refusal(415, "unsupported_media_type", "Send JSON, with Content-Type: application/json.")
        case RequestValidationError():
            errors = field_errors(error.errors())
            return Refusal(422, "invalid", "Some of the data is not valid.", errors)
        case HTTPException():
            code = _CODES.get(error.status_code) or re.sub(r"\W", "_", PHRASES.get(error.status_code, "error").lower())
            return Refusal(error.status_code, code, error.detail, headers=dict(error.headers or {}))
        case exc.IntegrityError():
            return _of_integrity(error)
        case StaleDataError():
            return _of_domain(Stale())
        case exc.DataError() | UnicodeError():
            return UNSTORABLE
        case exc.DBAPIError() if lacks_table(error):
            log.error("a table is missing: run `python3 manage.py migrate`")
            return _of_domain(Unavailable(retry_after=WAIT_SECONDS))
        case exc.OperationalError() | exc.InterfaceError() | exc.TimeoutError() | TimeoutError() | ConnectionError():
            return _away(error)
        case exc.DBAPIError() if _is_away(error):
            return _away(error)
        case exc.DBAPIError() if sqlstate(error).startswith("22"):
            return UNSTORABLE
    return UNEXPECTED


class Pace:
    """Refusals of a flood, one after another: whoever comes again at once takes no time from everybody else.

    So many in a second; the first ones of a flood, and those of people, do not wait at all.
    """

    def __init__(self) -> None:
        self._last = 0.0

    def delay(self) -> float:
        """Seconds that the next one waits."""
        now = monotonic()
        self._last = min(max(self._last, now - AT_ONCE / PER_SECOND) + 1 / PER_SECOND, now + HELD)
        return max(0.0, self._last - now)


_CODES = {401: "not_authenticated", 413: "too_large", 422: "invalid", 429: "too_many"}


def _of_domain(error: DomainError) -> Refusal:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    errors = error.errors if error.status in (409, 412, 422) else []
    return Refusal(error.status, error.code, error.message, errors, headers)


_SQLITE_COLUMNS = re.compile(r"UNIQUE constraint failed: (?:[^.,]+\.([^,\s]+)(?:, )?)+")


def _of_integrity(error: exc.IntegrityError) -> Refusal:
    """A broken constraint without SQL or values: 409, and the field where the database names one column."""
    cause = getattr(error.orig, "__cause__", None)
    text = str(error.orig)
    if "NOT NULL" in text or "null value" in text or "CHECK" in text or "check constraint" in text:
        return Refusal(422, "invalid", "Some of the data is missing or breaks a rule.")
    if "FOREIGN KEY" in text or "foreign key" in text:
        return Refusal(409, "conflict", "This refers to something that is not there, or is still referred to.")
    name, table = getattr(cause, "constraint_name", None), getattr(cause, "table_name", None)
    if name and table:
        column = name.removeprefix(f"uq_{table}_").removeprefix(f"ix_{table}_")
    else:
        found = _SQLITE_COLUMNS.search(text)
        column = found[1] if found else ""
    message = "There is one like this already."
    return Refusal(409, "conflict", message, [FieldError(column, "conflict", message)])


def _is_away(error: exc.DBAPIError) -> bool:
    state = sqlstate(error)
    return (
        error.connection_invalidated
        or state[:2] in ("08", "28", "3D", "53", "57")
        or state in ("55P03", "40001", "40P01")
    )


def _away(error: Exception) -> Refusal:
    log.warning("a part is away", error=type(error).__name__, reason=str(getattr(error, "orig", error))[:300])
    return _of_domain(Unavailable(retry_after=WAIT_SECONDS))


def install(app: FastAPI) -> None:
    """Let every expected exception be answered here; the edge answers the others."""

    from project.core.web.once import first_answer

    pace = Pace()

    async def handle(conn: HTTPConnection, error: Exception) -> Response | None:
        refusal = refusal_of(error)
        if refusal.status == 500 and not isinstance(error, HTTPException):
            raise error
        if isinstance(conn, WebSocket):
            if conn.application_state is WebSocketState.CONNECTING and DENIAL in conn.scope.get("extensions", {}):
                await conn.send_denial_response(problem(conn, refusal))
            else:
                await conn.close({401: 4401, 403: 4403}.get(refusal.status, 1011), refusal.code)
            return None
        if refusal.code in PACED:
            await asyncio.sleep(pace.delay())
        request = Request(conn.scope, conn.receive)  # type: ignore[attr-defined]
        return (await first_answer(request) if refusal.status < 500 else None) or await answer(request, refusal)

    for kind in (
        DomainError,
        RequestValidationError,
        HTTPException,
        exc.DBAPIError,
        exc.TimeoutError,
        StaleDataError,
        UnicodeError,
        TimeoutError,
        ConnectionError,
    ):
        app.add_exception_handler(kind, handle)  # type: ignore[arg-type]
    app.add_exception_handler(Answered, _answered)  # type: ignore[arg-type]
    app.add_exception_handler(WebSocketRequestValidationError, _close_invalid)  # type: ignore[arg-type]


async def _answered(_: Request, known: Answered) -> Response:
    return known.response


async def _close_invalid(socket: WebSocket, _: WebSocketRequestValidationError) -> None:
    await socket.close(1008, "invalid")
