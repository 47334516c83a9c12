"""A form sent twice has one effect: its token is kept in the transaction of what it did, with the answer it got.

A double click, a reload or a lost answer sends the same form again; the second time the database refuses the token,
everything is rolled back, and the first answer is given once more.
"""

import inspect
import json
import math
import time
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from typing import Annotated, Any

from fastapi import Depends
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from project.core.db.effects import add_effect, find_effect, forget_effects
from project.core.errors import BadRequest
from project.core.identity import Principal
from project.core.web.flash import COOKIE as FLASH
from project.core.web.forms.reading import CHECK
from project.core.web.redirects import redirect

LONGEST = 65_536  # characters of a page worth keeping
SWEEP_SECONDS = 3600
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
        called = endpoint(**given) if inspect.iscoroutinefunction(endpoint) else run_in_threadpool(endpoint, **given)
        response = await called
        await _keep(_request, response)
        return response

    guarded.__signature__ = signature.replace(parameters=[ASKER, *signature.parameters.values()])  # type: ignore[attr-defined]
    return guarded


async def first_answer(request: Request) -> Response | None:
    """What was answered when this very form came the first time, or None when it never took effect."""
    key = _key(request)
    if not key:
        return None
    async with request.app.state.runtime.unit_of_work(write=False) as db:
        kept = await find_effect(db, key)
    return None if kept is None else _restored(kept)


async def _keep(request: Request, response: Any) -> None:
    key, db = _key(request), getattr(request.state, "db", None)
    if not key or db is None or not isinstance(response, Response):
        return
    answer = _kept(request, response)
    if answer is None:
        return
    await db.flush()
    if not db.info.get("wrote"):
        return
    await add_effect(db, key, answer)
    if time.monotonic() - getattr(request.app.state, "effects_swept", -math.inf) > SWEEP_SECONDS:
        request.app.state.effects_swept = time.monotonic()
        await forget_effects(db)


def _key(request: Request) -> str:
    """The token with who sends what where: the same form with other data is another effect."""
    token = getattr(request.state, "once", "")
    if not 16 <= len(token) <= 64:
        return ""
    user: Principal | None = getattr(request.state, "principal", None)
    values = json.dumps(request.state.submitted[1], sort_keys=True, default=_told)
    parts = [token, request.method, request.url.path, str(user.id) if user else "", values]
    return sha256("\n".join(parts).encode()).hexdigest()


def _told(file: UploadFile) -> str:
    return f"{file.filename} {file.size}"


def _kept(request: Request, response: Response) -> dict[str, Any] | None:
    """The answer as it can be kept, or None: one that hands out a cookie is for the first asker only."""
    cookies = [cookie for cookie in response.headers.getlist("set-cookie") if not cookie.startswith(f"{FLASH}=")]
    if response.status_code >= 400 or cookies:
        return None
    if isinstance(response, redirect):
        message = response.message
        return {"to": response.path(request), "flash": [message.kind, message.text] if message else None}
    if isinstance(response, HTMLResponse) and len(response.body) <= LONGEST:
        told = {name: value for name, value in response.headers.items() if name.startswith(("hx-", "vary"))}
        return {"html": bytes(response.body).decode(), "status": response.status_code, "headers": told}
    return None


def _restored(kept: dict[str, Any]) -> Response:
    if "to" in kept:
        kind, text = kept["flash"] or ("success", "")
        return redirect(kept["to"], flash=text, kind=kind)
    return HTMLResponse(kept["html"], kept["status"], kept["headers"])
