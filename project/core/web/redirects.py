"""Leading the visitor on: to a named route with a message, and never off this site."""

from typing import Any
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from project.core.web import flash as flashes
from project.core.web.flash import Flash
from project.core.web.htmx import SAFE, VARY, is_htmx


class redirect(Response):  # noqa: N801 - reads as a verb where it is used
    """See Other to a named route, with an optional message for the page that follows.

    `return redirect("blog:detail", post_id=post.id, flash="Saved.")`; htmx gets the same
    move as an HX-Redirect. A path (beginning with one slash) may stand in place of the name.
    """

    def __init__(self, to: str, *, flash: str = "", kind: str = "success", **params: Any) -> None:
        super().__init__(status_code=303)
        if to.startswith("//"):
            raise ValueError(f"{to!r} would lead to another site")
        self._to, self._params, self.message = to, params, Flash(kind, flash) if flash else None

    def path(self, request: Request) -> str:
        """Where it leads, in ASCII as headers need it; raises NoMatchFound for an unknown route."""
        found = self._to if self._to.startswith("/") else str(request.app.url_path_for(self._to, **self._params))
        return quote(found, safe=SAFE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        self.headers.add_vary_header(VARY)
        if is_htmx(request):
            self.status_code = 204
            self.headers["HX-Redirect"] = self.path(request)
        else:
            self.headers["Location"] = self.path(request)
        if self.message:
            flashes.leave(request, self, self.message)
        await super().__call__(scope, receive, send)


def safe_next(url: str | None, default: str = "/") -> str:
    """`url` when it is a path on this site, else `default`.

    Only a path is accepted, and none that a browser could read as another host (CVE-2017-7233).
    """
    if not url or not url.startswith("/") or url.startswith("//") or "\\" in url:
        return default
    if any(ord(char) < 32 or ord(char) == 127 or char.isspace() for char in url):
        return default
    try:
        parts = urlsplit(url)
    except ValueError:
        return default
    return url if not parts.scheme and not parts.netloc and not parts.path.startswith("//") else default


def page_before(request: Request, default: str = "/") -> str:
    """The page of this site that the form stood on, else `default`: a form's own address may answer only a POST."""
    parts = urlsplit(request.headers.get("referer", ""))
    here = parts._replace(scheme="", netloc="", fragment="").geturl()
    return safe_next(here, default) if parts.netloc == request.url.netloc else default
