"""Starts the site as its server would, without a socket, and looks at what it really sends."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import Headers
from starlette.routing import NoMatchFound
from starlette.types import Message

from project.core.asgi import create_app
from project.core.checks import Finding, check, in_short
from project.core.conf import Settings
from project.core.errors import ConfigurationError
from project.core.runtime import Runtime
from project.core.web.access import ANYONE, who_may

MOST, AT_ONCE, PATIENCE = 60, 4, 4.0  # pages, requests side by side, seconds that one may take
DOCS = ("/api/docs", "/api/openapi.json", "/docs", "/redoc", "/openapi.json")
LIVE, READY = "/health/live", "/health/ready"
STRANGER = "check.invalid"  # a host no site has (RFC 2606)

ANY_HOST = Finding(
    "core.E105",
    "The site answers to any Host header, so links in its mails may lead to a stranger's site.",
    "Name your hosts in ALLOWED_HOSTS in place of *.",
)
DOCS_OPEN = Finding(
    "core.E107",
    "The API docs are open to everybody: {paths}.",
    "Set API_DOCS=false; if they are meant to be open, silence this: SILENCED_CHECKS=core.E107.",
)
NO_START = Finding("core.E140", "The site does not start ({reason}).", "Its log says more: start it by hand.")
NO_HEADER = Finding(
    "core.E141",
    "{header} is missing or lets too much through: {paths}.",
    "Leave that header to the site, or set a strict one.",
)
COOKIE = Finding(
    "core.E142",
    "The cookie {name} of {path} lacks {what}.",
    'Set it with secure=settings.secure, httponly=True, samesite="lax", the session\'s as __Host-….',
)
FORGED = Finding(
    "core.E143",
    "A page of another site may post to {path}.",
    "Keep project.core.web.guard in front of every door, and TRUSTED_ORIGINS short.",
)
FAILS = Finding("core.E144", "The site fails to answer: {paths}.", "Start it by hand and look at its log.")
SLOW = Finding("core.W145", "The site takes more than {seconds} s for {paths}.", "What does it wait for?")


@dataclass(slots=True)
class Answer:
    """What came back; status 0 is nothing in time."""

    path: str
    status: int = 0
    headers: Headers = field(default_factory=Headers)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to the app as a proxy at SITE_URL's host would."""

    app: FastAPI
    settings: Settings
    state: dict[str, Any]

    async def send(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """The head of the answer; the rest is not waited for."""
        answer, began, asked = Answer(path), asyncio.Event(), False
        parts = urlsplit(self.settings.SITE_URL)

        async def receive() -> Message:
            nonlocal asked
            if asked:
                await began.wait()
                return {"type": "http.disconnect"}
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], Headers(raw=message["headers"])
                began.set()

        named = {"host": parts.netloc, "sec_fetch_site": "same-origin"} | headers
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": parts.scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 0),
            "server": (parts.hostname, parts.port),
            "state": dict(self.state),
        }
        try:
            async with asyncio.timeout(PATIENCE):
                await self.app(scope, receive, send)
        except TimeoutError:
            pass
        except Exception:
            answer.status = 500
        return answer


@check(
    *(ANY_HOST, DOCS_OPEN, NO_START, NO_HEADER, COOKIE, FORGED, FAILS, SLOW),
    tags=["security", "answers"],
    deploy=True,
)
async def what_it_answers(runtime: Runtime) -> AsyncIterator[Finding]:
    """Headers, cookies, closed doors, as a visitor meets them."""
    settings = runtime.settings.model_copy(update={"LOG_LEVEL": "CRITICAL"})
    found: list[Finding] = []
    try:
        app = create_app(settings)
        app.state.runtime.runs_jobs = False  # those are the site's
        async with app.router.lifespan_context(app) as state:
            found = await _look(Client(app, settings, dict(state or {})), _log_out(runtime))
    except (Exception, ConfigurationError) as error:
        found.append(NO_START.of(reason=in_short(error)))
    for each in found:
        yield each


async def _look(client: Client, log_out: str) -> list[Finding]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(path: str, method: str = "GET", **headers: str) -> Answer:
        async with turns:
            return await client.send(path, method, **headers)

    stranger, forged, left, *answers = await asyncio.gather(
        ask(LIVE, host=STRANGER),
        ask(log_out, "POST", origin=f"https://{STRANGER}", sec_fetch_site="cross-site"),
        ask(log_out, "POST"),
        *(ask(path) for path in _addresses(client.app)),
    )
    docs = [] if client.settings.DEBUG else [each for each in answers if each.path in DOCS and 200 <= each.status < 400]
    answers = [each for each in (left, *answers) if each not in docs]  # they need inline styles
    return [
        *([ANY_HOST] if 200 <= stranger.status < 400 else []),
        *([FORGED.of(path=log_out)] if forged.status != 403 else []),
        *([DOCS_OPEN.of(paths=_paths(docs))] if docs else []),
        *_failures(answers),
        *(COOKIE.of(**each) for each in _bad_cookies(client.settings, left, answers)),
        *_bad_headers(client.settings, answers),
    ]


def _addresses(app: FastAPI) -> list[str]:
    """What strangers may open without naming anything, what is not there, the admin, and where docs might be."""
    routes = iter_route_contexts(app.routes)
    public = [route.path or "/" for route in routes if "GET" in (route.methods or ()) and who_may(route) == ANYONE]
    plain = [path for path in public if "{" not in path and not path.startswith(("/_dev", *DOCS))]
    return [*plain[:MOST], "/not-there", "/api/v1/not-there", "/static/not-there.css", "/admin/", *DOCS]


def _log_out(runtime: Runtime) -> str:
    """Where sessions end: an address that takes cookies away without anybody signed in."""
    try:
        return runtime.registry.path_for(f"{runtime.registry.login.partition(':')[0]}:logout")
    except NoMatchFound:
        return "/"


def _failures(answers: list[Answer]) -> Iterator[Finding]:
    if any(each.status == 503 for each in answers if each.path == READY):
        return  # the database is away or not migrated, which another check tells: pages may well fail
    if broken := [each for each in answers if each.status >= 500]:
        yield FAILS.of(paths=_paths(broken))
    if slow := [each for each in answers if not each.status]:
        yield SLOW.of(seconds=PATIENCE, paths=_paths(slow))


def _bad_cookies(settings: Settings, left: Answer, answers: list[Answer]) -> Iterator[dict[str, str]]:
    for answer in answers if settings.secure else []:
        for cookie in answer.headers.getlist("set-cookie"):
            name, *rest = (part.strip() for part in cookie.split(";"))
            flags = {part.lower() for part in rest}
            lacks = [word for word in ("Secure", "HttpOnly") if word.lower() not in flags]
            if not flags & {"samesite=lax", "samesite=strict"}:
                lacks.append("SameSite")
            if answer is left and "max-age=0" in flags and not name.startswith("__Host-"):
                lacks.append("the prefix __Host-")
            if lacks:
                yield {"name": name.partition("=")[0], "path": answer.path, "what": ", ".join(lacks)}


def _bad_headers(settings: Settings, answers: list[Answer]) -> Iterator[Finding]:
    weak: dict[str, list[Answer]] = {}
    for answer in answers:
        for name in _weak_headers(answer.headers, secure=settings.secure) if answer.status else ():
            weak.setdefault(name, []).append(answer)
    for name, where in weak.items():
        yield NO_HEADER.of(header=name, paths=_paths(where))


def _weak_headers(headers: Headers, *, secure: bool) -> Iterator[str]:
    policy = dict((part.strip() + " ").split(" ", 1) for part in headers.get("content-security-policy", "").split(";"))
    scripts = policy.get("script-src", policy.get("default-src", "*"))
    if re.search(r"'unsafe-|(^|\s)(\*|https?:|data:)(\s|$)", scripts):
        yield "Content-Security-Policy"
    if headers.get("x-content-type-options") != "nosniff":
        yield "X-Content-Type-Options"
    if "frame-ancestors" not in policy and headers.get("x-frame-options", "").upper() not in ("DENY", "SAMEORIGIN"):
        yield "X-Frame-Options"
    if headers.get("referrer-policy", "unsafe-url") in ("unsafe-url", "no-referrer-when-downgrade"):
        yield "Referrer-Policy"
    age = re.search(r"max-age=(\d+)", headers.get("strict-transport-security", ""))
    if secure and (age is None or int(age[1]) < 3600):
        yield "Strict-Transport-Security"


def _paths(answers: list[Answer]) -> str:
    """The first of them, and how many more."""
    more = f" and {len(answers) - 3} more" if len(answers) > 3 else ""
    return ", ".join(each.path for each in answers[:3]) + more
