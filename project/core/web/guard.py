"""The guard before every door: known hosts only, and no unsafe request that another site's page sent.

Browsers say where a request comes from (Fetch Metadata, W3C; Origin, RFC 6454; else Referer), so pages, API,
admin and sockets are covered without tokens in forms. What sends none of them is no browser and carries no
ambient cookie of a victim; it passes.
"""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from project.core.conf import Settings
from project.core.web.problems import Refusal, answer

SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}
HOST = re.compile(r"(?P<name>[a-z0-9.-]+|\[[0-9a-f:.]+\])(:(?P<port>\d{1,5}))?", re.I | re.A)
UNKNOWN_HOST = Refusal(400, "unknown_host", "This site does not answer to that host name.")
CROSS_SITE = Refusal(403, "cross_site", "This request came from another site's page, so it was refused.")


class Guard:
    """Refuses unknown hosts with 400 and cross-site unsafe requests with 403, before any handler runs."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.hosts = [host.lower() for host in settings.hosts]
        self.scheme = "https" if settings.secure else "http"
        self.trusted = {origin.lower().rstrip("/") for origin in settings.TRUSTED_ORIGINS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None if scope["type"] == "lifespan" else self.refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose(code=1008, reason=refusal.code)(scope, receive, send)
        else:
            response = await answer(Request(scope, receive), refusal)
            await response(scope, receive, send)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why this request is refused, or None."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._known(hosts[0]):
            return UNKNOWN_HOST
        if scope["type"] == "http" and scope["method"] in SAFE_METHODS:
            return None
        return None if self._same_site(headers, hosts[0]) else CROSS_SITE

    def _known(self, host: str) -> bool:
        match = HOST.fullmatch(host)
        if match is None or int(match["port"] or 0) > 65535:
            return False
        name = match["name"].lower().removesuffix(".")
        return any(
            known in ("*", name) or (known.startswith(".") and (name.endswith(known) or name == known[1:]))
            for known in self.hosts
        )

    def _same_site(self, headers: Headers, host: str) -> bool:
        origin = headers.get("origin")
        if origin is not None and origin.lower() in self.trusted:
            return True
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in ("same-origin", "none")
        sender = origin if origin is not None else headers.get("referer")
        if sender is None:
            return True
        return (place := _place(sender)) is not None and place == _place(f"{self.scheme}://{host}")


def _place(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an http address, or None."""
    try:
        parts = urlsplit(url)
        default = {"http": 80, "https": 443}.get(parts.scheme)
        return (parts.scheme, parts.hostname, parts.port or default) if parts.hostname and default else None
    except ValueError:
        return None
