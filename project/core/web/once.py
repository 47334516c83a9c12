"""A request sent twice has one effect: its key is kept in the transaction of what it did, with the answer it got.

A form is known by its token, a request of the JSON API by its `Idempotency-Key`. A double click, a reload or a lost
answer sends the same again; the second time the database refuses the key, everything is rolled back, and the first
answer is given once more.
"""

import inspect
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import wraps
from hashlib import file_digest, sha256
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.effects import add_effect, find_effect
from project.core.errors import BadRequest
from project.core.identity import Principal, principal
from project.core.web.deps import READING
from project.core.web.flash import COOKIE as FLASH
from project.core.web.forms.reading import CHECK, Answered
from project.core.web.htmx import is_htmx
from project.core.web.problems import Refusal, problem
from project.core.web.redirects import page_before, redirect

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST = 65_536  # characters of an answer worth keeping
ASKER = "_once_asked"  # FastAPI gives the request to one parameter only, and the endpoint may have its own
NOT_KEPT = {"set-cookie", "content-length"}
KEY = re.compile(r'"([ -~]{1,255})"|(?!")([ -~]{1,255})')  # the header's draft writes it in quotes
REUSED = Refusal(422, "idempotency_key_reused", "This Idempotency-Key came with another request. Take a new one.")
Handler = Callable[[Request], Awaitable[Response]]


def routes_of(router: APIRouter) -> Iterator[APIRoute]:
    """The routes of a router and of those inside it."""
    for route in router.routes:
        if isinstance(included := getattr(route, "original_router", None), APIRouter):
            yield from routes_of(included)
        elif isinstance(route, APIRoute):
            yield route


def as_api(router: APIRouter) -> APIRouter:
    """Let whoever is signed in send a router's requests again by `Idempotency-Key`, with one effect.

    For nobody it is ignored: a key that all share would show one visitor's answer to another.
    """
    for route in routes_of(router):
        once(route, by_header, first=True)
    return router


def once(route: APIRoute, asking: Callable[[Request], Awaitable[Request]], *, first: bool) -> None:
    """Keep the answers of a route that writes beside their effects.

    Args:
        route: any; one that only reads, or answers bit by bit, stays as it is.
        asking: the dependency that puts the effect's key on the request's state, as `effect`, and as `sent` a digest
            of what has to be the same when it comes again.
        first: whether it is asked before the endpoint's other dependencies, so that what they refuse because the
            effect has happened is answered as the first time.
    """
    endpoint: Any = route.endpoint
    inner = inspect.unwrap(endpoint)
    streams = inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner)
    if streams or not (route.methods or set()) - READING or "get_route_handler" in vars(route):
        return  # a router can be part of several sites

    @wraps(endpoint)
    async def guarded(*, _once_asked: Request, **given: Any) -> Any:
        if known := await first_answer(_once_asked):
            raise Answered(known)
        found = endpoint(**given) if inspect.iscoroutinefunction(inner) else await run_in_threadpool(endpoint, **given)
        return await found if inspect.isawaitable(found) else found

    signature, keyword = inspect.signature(endpoint), inspect.Parameter.KEYWORD_ONLY
    own = [parameter.replace(kind=keyword) for parameter in signature.parameters.values()]
    asker = [inspect.Parameter(ASKER, keyword, annotation=Annotated[Request, Depends(asking)])]
    vars(guarded)["__signature__"] = signature.replace(parameters=asker + own if first else own + asker)
    route.endpoint, handler_of = guarded, route.get_route_handler
    vars(route)["get_route_handler"] = lambda: _keeping(handler_of())


def _keeping(handle: Handler) -> Handler:
    """The handler; the unit of work of its request is still open when it returns the answer."""

    async def handler(request: Request) -> Response:
        if HEADER in request.headers:
            await principal(request)  # while no dependency has begun a unit of work
        response = await handle(request)
        db, key = getattr(request.state, "db", None), getattr(request.state, "effect", "")
        if db is not None and key and response.status_code < 400:
            await db.flush()
            if db.info.get("wrote") and (kept := _kept(request, response)) is not None:
                await add_effect(db, key, kept)
        return response

    return handler


async def first_answer(request: Request) -> Response | None:
    """What was answered when this very request came the first time, or None when it never took effect."""
    key, db = getattr(request.state, "effect", ""), getattr(request.state, "db", None)
    if not key:
        return None
    if db is not None and db.in_transaction():
        kept = await find_effect(db, key)
    else:
        async with request.app.state.runtime.unit_of_work(write=False) as db:
            kept = await find_effect(db, key)
    return None if kept is None else _restored(request, kept)


async def by_form(request: Request) -> Request:
    """The token with who sends what where: the same form with other data is another effect."""
    if CHECK in request.headers:
        raise BadRequest("This address cannot check a single field.")
    token = getattr(request.state, "once", "")
    if 16 <= len(token) <= 64:
        user: Principal | None = getattr(request.state, "principal", None)
        parts = [token, request.method, request.url.path, request.url.query, user and str(user.id)]
        request.state.effect = await run_in_threadpool(_digest, *parts, request.state.submitted[1])
        request.state.sent = ""
    return request


async def by_header(request: Request) -> Request:
    """The key with who asks where: the same key with other data is a mistake."""
    given = request.headers.get(HEADER)
    if given is None:
        return request
    key = KEY.fullmatch(given)
    if key is None:
        raise BadRequest("An Idempotency-Key has 1 to 255 printable ASCII characters, such as those of a UUID.")
    if user := await principal(request):
        try:
            body: Any = sha256(await request.body()).hexdigest()
        except RuntimeError:  # FastAPI has read it as a form, whose boundary may change
            body = (await request.form()).multi_items()
        request.state.sent = await run_in_threadpool(_digest, request.url.query, body)
        request.state.effect = _digest(HEADER, key[1] or key[2], request.method, request.url.path, str(user.id))
    return request


def _digest(*parts: Any) -> str:
    return sha256(json.dumps(parts, sort_keys=True, default=_of_file).encode()).hexdigest()


def _of_file(upload: Any) -> list[str]:
    upload.file.seek(0)
    found = file_digest(upload.file, "sha256").hexdigest()
    upload.file.seek(0)
    return [upload.filename, found]


def _kept(request: Request, response: Response) -> dict[str, Any] | None:
    """The answer as it can be kept: its digest alone for a long one, None for one that is for the first asker only.

    A form has its effect once all the same when the answer is not to be stored, or streamed.
    """
    sent = request.state.sent
    if [cookie for cookie in response.headers.getlist("set-cookie") if not cookie.startswith(f"{FLASH}=")]:
        return None
    if isinstance(response, redirect):
        message = response.message
        return {"sent": sent, "to": response.path(request), "flash": message and [message.kind, message.text]}
    if "no-store" in response.headers.get("cache-control", "") or not hasattr(response, "body"):
        return None if sent else {}
    with suppress(UnicodeDecodeError):
        body = bytes(response.body).decode()
        if len(body) <= LONGEST:
            told = {name: value for name, value in response.headers.items() if name not in NOT_KEPT}
            status = response.status_code
            return {"sent": sent, "body": body, "status": status, "headers": told, "fragment": is_htmx(request)}
    return {"sent": sent}


def _restored(request: Request, kept: dict[str, Any]) -> Response:
    sent = request.state.sent
    if kept.get("sent", "") != sent:
        return problem(request, REUSED)
    if "to" in kept:
        kind, text = kept["flash"] or ("success", "")
        return redirect(kept["to"], flash=text, kind=kind)
    if kept.get("fragment") is is_htmx(request):
        return Response(kept["body"], kept["status"], kept["headers"] | {REPLAYED: "true"})
    if sent:
        return problem(request, Refusal(409, "done_already", "This was done already; its answer was too long to keep."))
    return redirect(page_before(request).partition("?")[0], flash="This was done already.", kind="info")
