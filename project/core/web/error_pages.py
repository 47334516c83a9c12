"""Refusals as pages: the form again with its errors, the log-in page, or an error page in the site's clothes."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from project.core.errors import FieldError
from project.core.identity import principal
from project.core.log import get_logger
from project.core.web.forms import Form
from project.core.web.htmx import VARY, is_htmx
from project.core.web.pages import SHARED, render
from project.core.web.problems import F, Refusal, answers_with

log = get_logger(__name__)
SWAPPED = {409, 412, 422}  # what base.html lets htmx swap in; of any other refusal it shows the words
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


Context = Callable[[Request], Awaitable[dict[str, Any]]]


def on_invalid(template: str, *, block: str = "form", context: Context | None = None) -> Callable[[F], F]:
    """Show the endpoint's form again when its data is refused: values kept, errors beside the fields.

    Args:
        template: finds the form as `form`, and the path's parameters.
        block: all that htmx gets.
        context: what else the whole page needs, and `choices` for the form; it opens its own unit of work.
    """

    async def form_again(request: Request, refusal: Refusal) -> Response | None:
        submitted = getattr(request.state, "submitted", None)
        shown = SWAPPED if is_htmx(request) else SWAPPED | {400, 429}
        if submitted is None or refusal.status not in shown:
            return None
        schema, values = submitted
        form = Form(schema, values, refusal.errors, action=request.url.path)
        if not refusal.errors:
            form.errors.append(FieldError("", refusal.code, str(refusal.detail)))
        form.stale = refusal.status == 412
        for field in form.fields if not is_htmx(request) else ():
            if field.kind == "file" and values.get(field.name):
                field.hint = f"Choose the file again, the browser has let go of it. {field.hint}"
        await principal(request)
        more = await context(request) if context else {}
        form.offer(more.get("choices", {}))
        named = {name: value for name, value in request.path_params.items() if name not in SHARED}
        scope = named | {"form": form} | more
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
    if is_htmx(request):
        return Response(status_code=401, headers={"HX-Redirect": url, "Vary": VARY})
    return RedirectResponse(url, 303, headers={"Vary": VARY})


async def error_page(request: Request, refusal: Refusal) -> Response:
    """The refusal as a page in the site's clothes."""
    if refusal.status == 503 and not hasattr(request.state, "principal"):
        request.state.principal = None  # whoever could say is away, most likely: to ask again would be to wait again
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
        "errors": [error for error in refusal.errors if error.field],
        "request_id": getattr(request.state, "request_id", ""),
    }
    return render(request, "core/error.html", context, status=refusal.status, headers=refusal.headers)
