"""The admin's door: staff only, whatever is behind it; what goes wrong there is told in the site's own words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from fastapi import FastAPI
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from project.core.db.engine import Database, run_callbacks
from project.core.errors import DomainError, Forbidden, NotAuthenticated
from project.core.identity import principal
from project.core.log import get_logger
from project.core.web.problems import UNSTORABLE, Refusal, answer, refusal_of
from project.core.web.validation import field_errors, of_body

log = get_logger(__name__)
ON_THE_FORM = {400, 403, 409, 412, 422, 429}
visit: ContextVar[Request | None] = ContextVar("admin_visit", default=None)


class Door:
    """Lets staff in and nobody else, the library's own static files apart.

    It stands around everything that is mounted, so a view that forgets to ask is closed all the same.
    """

    def __init__(self, app: ASGIApp, site: FastAPI, admin: Any, admit: Callable[[Request], None]) -> None:
        self.app = app
        self.site = site
        self.admin = admin
        self.admit = admit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose(1008)(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # what is not GET, SQLAdmin takes for a form that was sent
        assets = scope["path"].startswith(f"{scope['root_path']}/statics/")
        request = Request({**scope, "app": self.site}, receive)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if message["status"] == 307 and "/action/" in scope["path"]:
                    message["status"] = 303  # Starlette's default would repeat the POST where the action leads
                if assets:
                    MutableHeaders(raw=message["headers"])["Cache-Control"] = "public, max-age=3600"
            await send(message)

        request.state.admin = self.admin
        token = visit.set(None)
        try:
            if not assets:
                await _admit(request)
                self.admit(request)
            visit.set(request)  # not before: what letting somebody in writes is not theirs
            await self.app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            await (await _told(request, error))(scope, receive, send)
        finally:
            visit.reset(token)


async def _admit(request: Request) -> None:
    who = await principal(request)
    if who is None:
        raise NotAuthenticated
    if not who.is_staff:
        raise Forbidden("The admin is for staff.")


async def _told(request: Request, error: Exception) -> ASGIApp:
    refusal = refusal_of(error)
    if refusal.status == 500:
        log.exception("unhandled error", method=request.method, path=request.url.path, exc_info=error)
    if refusal.status == 401 and request.headers.get("x-requested-with"):
        # A script would follow the redirect and take the log-in page for its answer.
        refusal = Refusal(403, "not_authenticated", refusal.detail)
    return await answer(request, refusal, error if refusal.status == 500 else None)


class Refused(Exception):
    """A refusal on its way to SQLAdmin's form, which shows the text of whatever is raised."""


@contextmanager
def telling(request: Request, labels: dict[str, str]) -> Iterator[None]:
    """Turn what a save raises into a sentence for the form, and keep the error for `told`."""
    try:
        yield
    except Exception as error:
        refusal = _refusal(error)
        request.state.admin_error = (error, refusal)
        words = [": ".join(filter(None, (labels.get(each.field), each.message))) for each in refusal.errors]
        raise Refused(" ".join(words) or str(refusal.detail)) from error


@contextmanager
def bad_value_means(refusal: DomainError) -> Iterator[None]:
    """Raise the refusal when a value in the address does not fit its column."""
    try:
        yield
    except Exception as error:
        if _is_bad_value(error):
            raise refusal from error
        raise


def told(request: Request, response: Response) -> Response:
    """The form with the refusal's status; raises what is not the form's to tell: a bug, an outage, a lost row."""
    kept: tuple[Exception, Refusal] | None = getattr(request.state, "admin_error", None)
    if kept and kept[1].status not in ON_THE_FORM:
        raise kept[0]
    if response.status_code == 400:
        response.status_code = kept[1].status if kept else 422
    return response


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, ValidationError):
        return Refusal(422, "invalid", "Some of the data is not valid.", field_errors(of_body(error)))
    if _is_bad_value(error):
        log.info("admin form refused", error=type(error).__name__)
        return UNSTORABLE
    return refusal_of(error)


def _is_bad_value(error: Exception) -> bool:
    """True when a value does not fit its column: found by Python, by SQLAlchemy, or by the database."""
    if isinstance(error, DBAPIError):
        return refusal_of(error).status == 422
    return isinstance(error, ValueError | ArithmeticError | StatementError)


class Sessions(async_sessionmaker[AsyncSession]):
    """SQLAdmin's sessions: where the site's units of work go, read-only for a visit that only looks.

    What `on_commit` was given runs after their commit, so `enqueue` and `publish` work in an admin view, too.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(class_=AsyncSession)
        self.database = database

    def __call__(self, **options: Any) -> AsyncSession:
        request = visit.get()
        writes = request is None or request.method not in ("GET", "HEAD")
        session = self.database.sessions[writes](**{"autoflush": False} | options)

        async def commit() -> None:
            await type(session).commit(session)
            await run_callbacks(session)

        vars(session)["commit"] = commit
        return session
