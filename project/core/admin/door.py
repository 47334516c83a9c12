"""The admin's door: staff only, whatever is behind it; what goes wrong there is told in the site's own words."""

from contextvars import ContextVar
from typing import Any

from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from project.core.db.engine import Database
from project.core.errors import Forbidden, NotAuthenticated
from project.core.identity import principal
from project.core.log import get_logger
from project.core.web.problems import Refusal, answer, refusal_of

log = get_logger(__name__)


visit: ContextVar[Request | None] = ContextVar("admin_visit", default=None)


class Door:
    """Lets staff in and nobody else, the library's own static files apart.

    It stands around everything that is mounted, so a view that forgets to ask is closed all the same.
    """

    def __init__(self, app: ASGIApp, site: FastAPI) -> None:
        self.app = app
        self.site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await WebSocketClose(1008)(scope, receive, send)
            return
        if self.site.state.runtime.settings.secure:
            scope["scheme"] = "https"  # SQLAdmin writes absolute addresses, also where a proxy ends TLS
        assets = scope["path"].startswith(f"{scope['root_path']}/statics/")
        request = Request({**scope, "app": self.site}, receive)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if assets:
                    MutableHeaders(raw=message["headers"])["Cache-Control"] = "public, max-age=3600"
            await send(message)

        token = visit.set(request)
        try:
            if not assets:
                await _admit(request)
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
    return await answer(request, refusal)


class Sessions(async_sessionmaker[AsyncSession]):
    """SQLAdmin's sessions: where the site's units of work go, read-only for a visit that only looks."""

    def __init__(self, database: Database) -> None:
        super().__init__(class_=AsyncSession, expire_on_commit=False)
        self.database = database

    def __call__(self, **options: Any) -> AsyncSession:
        request = visit.get()
        usual = self.database.sessions[request is None or request.method not in ("GET", "HEAD")].kw
        same = {name: usual[name] for name in ("bind", "join_transaction_mode") if name in usual}
        return super().__call__(**same | options)
