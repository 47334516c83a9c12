"""The outermost layer: request id, access log, metrics, the last resort for errors, security headers."""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from project.core.conf import Settings
from project.core.db import recording
from project.core.log import about, get_logger
from project.core.metrics import Counter, Gauge, Histogram
from project.core.watchdog import ABOUT
from project.core.web.problems import UNEXPECTED, answer
from project.core.web.static.sources import PREFIX

REQUESTS = Counter("http_requests_total", "Requests that have ended.", "method", "route", "status")
TOOK = Histogram("http_request_seconds", "How long requests took, and streams stayed.", "method", "route")
UNDER_WAY = Gauge("http_requests_under_way", "Requests that have not ended, streams among them.")
GONE = 499  # the status, as nginx has it, of those whose client left before an answer began
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
log = get_logger("project.request")
GOOD_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
POLICY = (  # style-src stands last: where a library needs inline styles, one word is added to it
    "default-src 'self'; script-src 'self'{cdn}; img-src 'self' data:{cdn}; font-src 'self'{cdn}; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; style-src 'self'{cdn}"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
STRICTLY = "max-age=31536000; includeSubDomains"


def _believed(scope: Scope) -> bool:
    """Whether the server has put what X-Forwarded-For says in the place of the peer's address."""
    host = (scope.get("client") or ("",))[0]
    return bool(host) and host in ",".join(Headers(scope=scope).getlist("x-forwarded-for"))


class Edge:
    """Gives each request an id, logs it once without its query, and answers what nobody else caught."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.secure, self.debug = settings.secure, settings.DEBUG
        self.alone, self.warned = not settings.TRUSTED_PROXIES, False
        self.policy = POLICY.format(cdn=f" {settings.static_origin}" if settings.static_origin else "")
        always = HEADERS | ({"Strict-Transport-Security": STRICTLY} if self.secure else {})
        self.usual = Headers({"Content-Security-Policy": self.policy} | always).raw
        self.styled = Headers({"Content-Security-Policy": f"{self.policy} 'unsafe-inline'"} | always).raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if self.alone and _believed(scope):
            # uvicorn's own default believes every process of this machine, whatever the settings say.
            scope["client"], scope["scheme"] = None, "http" if scope["type"] == "http" else "ws"
            if not self.warned:
                log.warning("forwarded headers are ignored: set TRUSTED_PROXIES, and start uvicorn --no-proxy-headers")
            self.warned = True
        if self.secure:  # a proxy ends TLS; the addresses we write must not lead back to http
            scope["scheme"] = "https" if scope["type"] == "http" else "wss"
        given = Headers(scope=scope).get("x-request-id", "")
        current = given if GOOD_ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = current
        with about(current), UNDER_WAY.up():
            await self._answer(scope, receive, send, current)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, current: str) -> None:
        asked = recording.current.get() or recording.Recording(keep=self.debug)
        asked.scope, recorded = scope, recording.current.set(asked)
        status, started = 0, time.perf_counter()
        static = scope["path"].startswith(PREFIX)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if static and status < 400:
                    message["headers"] = [*message["headers"], *self.usual, (b"x-request-id", current.encode())]
                else:
                    self._add_headers(message, current, scope)
                    if self.debug:
                        took = asked.timing(time.perf_counter() - started)
                        message["headers"].append((b"server-timing", took.encode()))
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except (ClientDisconnect, WebSocketDisconnect):
            log.info("the client left", path=scope["path"])
        except Exception as error:
            log.exception("unhandled error", method=scope.get("method", ""), path=scope["path"])
            if scope["type"] == "websocket" or status:
                raise
            response = await answer(Request(scope, receive), UNEXPECTED, error)
            await response(scope, receive, send_with_headers)
        finally:
            if scope["type"] == "http":
                elapsed, method = time.perf_counter() - started, scope["method"]
                route = f"{PREFIX}{{path}}" if static else recording.template(scope) or "none"
                known = method if method in METHODS else "other"
                REQUESTS.add(known, route, str(status or GONE))
                TOOK.observe(elapsed, known, route)
                level = logging.DEBUG if static or scope["path"] == "/_dev/reload" else logging.INFO
                if logging.getLogger("project.request").isEnabledFor(level):  # cheaper than asking structlog
                    ms = round(elapsed * 1000, 1)
                    log.log(level, "request", method=method, path=scope["path"], route=route, status=status, ms=ms)
            recording.current.reset(recorded)

    def _add_headers(self, message: Message, current: str, scope: Scope) -> None:
        """Add the headers of every answer, as far as the handler has not set them itself."""
        path, personal = f"{scope['path']}/", scope["state"].get("principal") is not None
        headers = [pair for pair in message.get("headers", ()) if pair[0] != b"x-request-id"]
        theirs = {name for name, _ in headers}
        usual = self.styled if path.startswith("/admin/") or path == "/api/docs/" else self.usual
        headers += [pair for pair in usual if pair[0] not in theirs]
        headers.append((b"x-request-id", current.encode()))
        message["headers"] = headers
        if b"cache-control" not in theirs:
            # What is somebody's own must not come back from the browser's memory by Back after they have logged out.
            kept = not personal and not path.startswith("/admin/")
            headers.append((b"cache-control", b"private, no-cache" if kept else b"no-store"))
            MutableHeaders(raw=headers).add_vary_header("Cookie")


ABOUT[Edge._answer.__code__] = lambda names: {"request_id": names["current"], "route": names["asked"].route}
