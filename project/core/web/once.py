"""A form sent twice has one effect: its token is kept in the transaction of what it did, with the answer it got.

A double click, a reload or a lost answer sends the same form again; the second time the database refuses the token,
everything is rolled back, and the first answer is given once more.
"""

import inspect
import json
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from hashlib import file_digest, sha256
from typing import Annotated, Any

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.effects import add_effect, find_effect
from project.core.db.session import AsyncSession
from project.core.errors import BadRequest
from project.core.identity import Principal
from project.core.web.flash import COOKIE as FLASH
from project.core.web.forms.reading import CHECK, Answered
from project.core.web.htmx import is_htmx
from project.core.web.redirects import page_before, redirect

LONGEST = 65_536  # characters of a page worth keeping
KEPT = ("hx-", "vary", "content-type", "content-language")
Endpoint = Callable[..., Any]


async def _asking(request: Request) -> Request:
    return request


# FastAPI gives the request to one parameter only, and the endpoint may have its own.
ASKER = inspect.Parameter("_request", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[Request, Depends(_asking)])


def once(endpoint: Endpoint) -> Endpoint:
    """The same endpoint, keeping its answer beside its effect when the form that it reads has a token."""
    signature = inspect.signature(endpoint)
    if ASKER.name in signature.parameters:  # a router can be part of several sites
        return endpoint

    @wraps(endpoint)
    async def guarded(*, _request: Request, **given: Any) -> Any:
        if CHECK in _request.headers:
            raise BadRequest("This address cannot check a single field.")
        key = _request.state.effect = await _key(_request)
        db = getattr(_request.state, "db", None)
        if key and (first := await _first(_request, db if db is not None and db.in_transaction() else None)):
            raise Answered(first)
        called = endpoint(**given) if inspect.iscoroutinefunction(endpoint) else run_in_threadpool(endpoint, **given)
        response = await called
        if key and db is not None and isinstance(response, Response):
            await _keep(_request, db, key, response)
        return response

    guarded.__signature__ = signature.replace(parameters=[ASKER, *signature.parameters.values()])  # type: ignore[attr-defined]
    return guarded


async def first_answer(request: Request) -> Response | None:
    """What was answered when this very form came the first time, or None when it never took effect."""
    return await _first(request) if getattr(request.state, "effect", "") else None


async def _first(request: Request, db: AsyncSession | None = None) -> Response | None:
    if db is not None:
        kept = await find_effect(db, request.state.effect)
    else:
        async with request.app.state.runtime.unit_of_work(write=False) as db:
            kept = await find_effect(db, request.state.effect)
    return None if kept is None else _restored(request, kept)


async def _keep(request: Request, db: AsyncSession, key: str, response: Response) -> None:
    cookies = [cookie for cookie in response.headers.getlist("set-cookie") if not cookie.startswith(f"{FLASH}=")]
    if response.status_code >= 400 or cookies:
        return  # an answer that hands out a cookie is for the first asker only
    await db.flush()
    if not db.info.get("wrote"):
        return
    await add_effect(db, key, _kept(request, response))


async def _key(request: Request) -> str:
    """The token with who sends what where: the same form with other data is another effect."""
    token = getattr(request.state, "once", "")
    if not 16 <= len(token) <= 64:
        return ""
    user: Principal | None = getattr(request.state, "principal", None)
    values = request.state.submitted[1]
    files = [file for value in values.values() for file in (value if isinstance(value, list) else [value])]
    digests = [await run_in_threadpool(_digest, file) for file in files if isinstance(file, UploadFile)]
    told = json.dumps([values, digests], sort_keys=True, default=lambda file: file.filename)
    place = [request.method, request.url.path, request.url.query]
    parts = [token, *place, str(user.id) if user else "", told]
    return sha256("\n".join(parts).encode()).hexdigest()


def _digest(upload: UploadFile) -> str:
    upload.file.seek(0)
    found = file_digest(upload.file, "sha256").hexdigest()  # type: ignore[arg-type]
    upload.file.seek(0)
    return found


def _kept(request: Request, response: Response) -> dict[str, Any]:
    """The answer as it can be kept; empty for one that is long, streamed or not to be stored."""
    if "no-store" in response.headers.get("cache-control", ""):
        return {}
    if isinstance(response, redirect):
        message = response.message
        return {"to": response.path(request), "flash": [message.kind, message.text] if message else None}
    with suppress(AttributeError, UnicodeDecodeError):
        body = bytes(response.body).decode()
        if len(body) <= LONGEST:
            told = {name: value for name, value in response.headers.items() if name.startswith(KEPT)}
            return {"body": body, "status": response.status_code, "headers": told, "fragment": is_htmx(request)}
    return {}


def _restored(request: Request, kept: dict[str, Any]) -> Response:
    if "to" in kept:
        kind, text = kept["flash"] or ("success", "")
        return redirect(kept["to"], flash=text, kind=kind)
    if kept.get("fragment") is is_htmx(request):
        return Response(kept["body"], kept["status"], kept["headers"])
    return redirect(page_before(request).partition("?")[0], flash="This was done already.", kind="info")
