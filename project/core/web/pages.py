"""Pages: render a template or one block of it, redirect with a message, show a form again."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from project.core.errors import FieldError
from project.core.identity import Principal, principal
from project.core.log import get_logger
from project.core.signing import BadToken
from project.core.templating import render_block
from project.core.web.forms import Form, reads_form
from project.core.web.problems import F, Refusal, answers_with

log = get_logger(__name__)
FLASH, FLASH_SECONDS = "flash", 120
WORDS = {
    400: ("That did not work", "The request could not be understood."),
    401: ("Who are you?", "Log in to continue."),
    403: ("This is not open to you", "You are not allowed to see or do this."),
    404: ("Page not found", "The address may be mistyped, or what was here has been removed."),
    405: ("Not this way", "This address does not answer to that kind of request."),
    409: ("That clashes", "This clashes with something that already exists."),
    412: ("Changed meanwhile", "Somebody else changed this while you were looking at it."),
    413: ("Too large", "This is more than can be sent at once."),
    422: ("Not quite right", "Some of the data is not valid."),
    429: ("Slow down a little", "That was too often. Wait a moment, then try again."),
    500: ("Something went wrong", "It is our fault, and it has been written down."),
    503: ("Back in a moment", "A part of the site is away. Try again in a moment."),
}


@dataclass(frozen=True, slots=True)
class Flash:
    """A message for the next page: kind is info, success, warning or error."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class MenuLink:
    """A menu item as a template draws it."""

    title: str
    url: str
    active: bool


def as_pages(router: APIRouter) -> APIRouter:
    """Give a router's routes the manners of pages: HEAD like GET, and whoever asks is known before a form is read."""
    for route in router.routes:
        if isinstance(included := getattr(route, "original_router", None), APIRouter):
            as_pages(included)
        elif isinstance(route, APIRoute):
            methods = route.methods or set()
            route.methods = methods | {"HEAD"} if "GET" in methods else methods
            endpoint: Any = route.endpoint
            signature = inspect.signature(endpoint, eval_str=True)
            ordered = sorted(signature.parameters.values(), key=reads_form)
            keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in ordered]
            endpoint.__signature__ = signature.replace(parameters=keywords)
    return router


def wants_fragment(request: Request) -> bool:
    """True when htmx asks for a part of the page: not when it boosts a link or restores history."""
    headers = request.headers
    return (
        headers.get("hx-request") == "true"
        and headers.get("hx-boosted") != "true"
        and headers.get("hx-history-restore-request") != "true"
    )


def render(
    request: Request,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    block: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> HTMLResponse:
    """The whole page, or only `block` when htmx asks for a fragment.

    Raises jinja2.TemplateNotFound for an unknown template and KeyError for an unknown block.
    """
    env = request.app.state.templates
    fragment = block is not None and wants_fragment(request)
    scope = _shared(request) | (context or {})
    html = render_block(env, template, block or "", scope) if fragment else env.get_template(template).render(scope)
    response = HTMLResponse(html, status, headers)
    if block is not None:
        response.headers.add_vary_header("HX-Request")
    if FLASH in request.cookies and not fragment:
        response.delete_cookie(FLASH, path="/")
    return response


def _shared(request: Request) -> dict[str, Any]:
    user: Principal | None = getattr(request.state, "principal", None)
    path = request.url.path
    links = []
    for app in request.app.state.runtime.registry.apps:
        for item in app.menu:
            if not item.staff or (user and user.is_staff):
                url = str(request.app.url_path_for(item.route))
                links.append(MenuLink(item.title, url, path == url or (url != "/" and path.startswith(f"{url}/"))))
    return {"request": request, "user": user, "menu": links, "flashes": _flashes(request)}


def _flashes(request: Request) -> list[Flash]:
    token = request.cookies.get(FLASH)
    if not token:
        return []
    try:
        claims = request.app.state.signer.read("flash", token)
        return [Flash(str(kind), str(text)) for kind, text in claims["messages"]]
    except (BadToken, KeyError, TypeError, ValueError):
        return []


class redirect(Response):  # noqa: N801 - reads as a verb where it is used
    """See Other to a named route, with an optional message for the page that follows.

    `return redirect("fetcher:detail", batch_id=batch.id, flash="Fetching started.")`; htmx gets the same
    move as an HX-Redirect. A path (beginning with one slash) may stand in place of the name.
    """

    def __init__(self, to: str, *, flash: str = "", kind: str = "success", **params: Any) -> None:
        super().__init__(status_code=303)
        if to.startswith("//"):
            raise ValueError(f"{to!r} would lead to another site")
        self._to, self._params, self._flash = to, params, (kind, flash)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        state = request.app.state
        url = self._to if self._to.startswith("/") else str(request.app.url_path_for(self._to, **self._params))
        url = quote(url, safe="/%?#&=:;@!$'()*+,~[]")  # headers hold ASCII only
        if request.headers.get("hx-request") == "true":
            self.status_code = 204
            self.headers["HX-Redirect"] = url
        else:
            self.headers["Location"] = url
        if self._flash[1]:
            token = state.signer.sign("flash", "flash", FLASH_SECONDS, messages=[self._flash])
            secure = state.runtime.settings.secure
            self.set_cookie(FLASH, token, FLASH_SECONDS, path="/", secure=secure, httponly=True, samesite="lax")
        await super().__call__(scope, receive, send)


Context = Callable[[Request], Awaitable[dict[str, Any]]]


def on_invalid(template: str, *, block: str = "form", context: Context | None = None) -> Callable[[F], F]:
    """Show the endpoint's form again when its data is refused: values kept, errors beside the fields.

    Args:
        template: finds the form as `form`, and the path's parameters.
        block: all that htmx gets.
        context: what else the whole page needs; it opens its own unit of work.
    """

    async def form_again(request: Request, refusal: Refusal) -> Response | None:
        submitted = getattr(request.state, "submitted", None)
        swapped = (409, 422)  # what base.html lets htmx swap in; of any other refusal it shows the words
        shown = swapped if request.headers.get("hx-request") == "true" else (*swapped, 400, 412, 429)
        if submitted is None or refusal.status not in shown:
            return None
        schema, values = submitted
        form = Form(schema, values, refusal.errors, action=request.url.path)
        if not refusal.errors:
            form.errors.append(FieldError("", refusal.code, str(refusal.detail)))
        await principal(request)
        more = await context(request) if context else {}
        scope = {"form": form} | request.path_params | more
        return render(request, template, scope, block=block, status=refusal.status, headers=refusal.headers)

    return answers_with(form_again)


def to_login(request: Request, refusal: Refusal) -> Response | None:
    """For a page that needs somebody signed in: the log-in page, which leads back here afterwards."""
    login = request.app.state.runtime.registry.login
    if refusal.status != 401 or not login:
        return None
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = f"?next={quote(here)}" if request.method == "GET" and here != "/" else ""
    url = f"{request.app.url_path_for(login)}{wanted}"
    if request.headers.get("hx-request") == "true":
        return Response(status_code=401, headers={"HX-Redirect": url})
    return RedirectResponse(url, 303)


async def error_page(request: Request, refusal: Refusal) -> Response:
    """The refusal as a page in the site's clothes."""
    try:
        await principal(request)
    except Exception as error:
        log.warning("error page without a user", error=type(error).__name__)
        request.state.principal = None
    title, advice = WORDS.get(refusal.status, (refusal.title, ""))
    said = str(refusal.detail)
    context = {
        "status": refusal.status,
        "title": title,
        "message": advice if said in ("", refusal.title) else said,
        "wait": refusal.headers.get("Retry-After", ""),
        "request_id": getattr(request.state, "request_id", ""),
    }
    return render(request, "core/error.html", context, status=refusal.status, headers=refusal.headers)


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
