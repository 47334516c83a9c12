"""Pages: render a template, or one block of it for htmx, and give routes the manners of pages."""

import inspect
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.params import Depends
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from project.core.identity import Principal
from project.core.templating import render_block
from project.core.web import flash as flashes
from project.core.web.deps import session
from project.core.web.flash import Flash
from project.core.web.forms import reads_form
from project.core.web.htmx import VARY, is_htmx
from project.core.web.live import HEADER, asked_block
from project.core.web.once import ASKER, by_form, once, routes_of
from project.core.web.redirects import redirect


def _turn(parameter: inspect.Parameter) -> int:
    """Who asks first, then the form, then what the database says: while a body arrives, no connection is held."""
    return 1 if reads_form(parameter) else 2 if _needs_session(parameter) else 3 if parameter.name == ASKER else 0


def _needs_session(parameter: inspect.Parameter) -> bool:
    asked = [*getattr(parameter.annotation, "__metadata__", ()), parameter.default]
    calls = [each.dependency for each in asked if isinstance(each, Depends) and each.dependency]
    return any(call is session or any(map(_needs_session, _parameters(call))) for call in calls)


def _parameters(call: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(call, eval_str=True).parameters.values())
    except (ValueError, NameError):
        return []


@dataclass(frozen=True, slots=True)
class MenuLink:
    """A menu item as a template draws it."""

    title: str
    url: str
    active: bool


SHARED = {"request", "user", "menu", "flashes"}  # what every page finds, besides the globals


def as_pages(router: APIRouter) -> APIRouter:
    """Give a router's routes the manners of pages.

    HEAD is answered like GET, whoever asks is known before a form is read, and a form sent twice has one effect.
    """
    for route in routes_of(router):
        methods = route.methods or set()
        route.methods = methods | {"HEAD"} if "GET" in methods else methods
        endpoint: Any = route.endpoint
        signature = inspect.signature(endpoint, eval_str=True)
        ordered = sorted(signature.parameters.values(), key=_turn)
        keywords = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in ordered]
        endpoint.__signature__ = signature.replace(parameters=keywords)
        once(route, by_form, first=False)
    return router


def render(
    request: Request,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    block: str | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
    flash: str = "",
    kind: str = "success",
) -> HTMLResponse:
    """The whole page, or only `block` when htmx asks for a fragment, or only a live block when its page asks for it.

    Args:
        request: the request at hand.
        template: its path; a whole page also shows the messages that wait for it.
        context: what the template may use, besides the globals and `request`, `user`, `menu`, `flashes`.
        block: the block that htmx gets.
        status: of the answer.
        headers: more headers of the answer.
        flash: a message, shown in the page or arriving beside the fragment.
        kind: of the message: info, success, warning or error.

    Raises jinja2.TemplateNotFound for an unknown template and KeyError for an unknown block.
    """
    env = request.app.state.templates
    said = [Flash(kind, flash)] if flash else []
    moving = _live_block(request, env, template)
    fragment = moving or (block if is_htmx(request) else None)
    scope = _shared(request) | (context or {}) | {"flashes": said if fragment else flashes.waiting(request) + said}
    if fragment:
        html = render_block(env, template, fragment, scope)
        html += str(env.globals["ui"].flashes(said, beside=True)) if said and not moving else ""
    else:
        html = env.get_template(template).render(scope)
    response = HTMLResponse(html, status, headers)
    if block is not None:
        response.headers.add_vary_header(VARY)
    if moving:
        response.headers[HEADER] = moving
    if not fragment:
        flashes.clear(request, response)
    return response


def deleted(request: Request, to: str, *, flash: str) -> Response:
    """What follows a deletion: htmx takes the row away and shows the message, everybody else is led to the route."""
    if not is_htmx(request):
        return redirect(to, flash=flash)
    ui = request.app.state.templates.globals["ui"]
    return HTMLResponse(ui.flashes([Flash("success", flash)], beside=True))


def _live_block(request: Request, env: Environment, template: str) -> str | None:
    """What the page asks for, unless this template does not have it: an error page, the page after an end."""
    asked = asked_block(request) if HEADER in request.headers else None
    return asked if asked in env.get_template(template).blocks else None


def _shared(request: Request) -> dict[str, Any]:
    user: Principal | None = getattr(request.state, "principal", None)
    path = request.url.path
    links = []
    for app in request.app.state.runtime.registry.apps:
        for item in app.menu:
            if not item.staff or (user and user.is_staff):
                url = request.app.state.templates.globals["url"](item.route)
                links.append(MenuLink(item.title, url, path == url or (url != "/" and path.startswith(f"{url}/"))))
    return {"request": request, "user": user, "menu": links}
