"""One request through the whole site, without a server: the answer, its SQL, its time."""

import asyncio
import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import click

from project.core.management import CommandError, Site
from project.core.management.cli import in_words

if TYPE_CHECKING:
    from fastapi import FastAPI

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass
class Answer:
    """What came back."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    statements: list[tuple[str, float]] = field(default_factory=list)
    seconds: float = 0

    @property
    def kind(self) -> str:
        """Its media type."""
        return dict(self.headers).get("content-type", "").partition(";")[0]


@click.command(
    epilog='Example: manage.py request PATCH /api/v1/accounts/me --user ann@example.com --json \'{"name": "Ann"}\''
)
@click.argument("method", type=click.Choice(METHODS, case_sensitive=False))
@click.argument("path")
@click.option("--user", metavar="E-MAIL", help="As this person, without their password.")
@click.option("--data", help="A body as forms send it: title=Tea&private=on.")
@click.option("--json", "as_json", help="A body of JSON.")
@click.option("--header", "-H", "headers", multiple=True, metavar="NAME:VALUE", help="May be repeated.")
@click.option("--timeout", type=click.FloatRange(0.1, 3600), default=30, show_default=True, help="Seconds.")
@click.pass_obj
def request(
    site: Site,
    method: str,
    path: str,
    user: str | None,
    data: str | None,
    as_json: str | None,
    headers: tuple[str, ...],
    timeout: float,
) -> None:
    """Send one request through the site, without a server.

    The body goes to standard output; headers, SQL and times to standard error, secrets masked. It is as real as any:
    POST, PUT, PATCH and DELETE are committed, --user acts for that person, jobs wait for a worker. Exit code 1 for an
    answer of 400 or more.
    """
    if not path.startswith("/"):
        raise CommandError(f"{path!r} is no path: it begins with a slash, such as /health/ready.", 2)
    named, body = _content(data, as_json, headers)
    with in_words():
        answer = asyncio.run(_ask(site, method.upper(), path, named, body, user, timeout))
    _show(answer)
    if answer.status >= 400:
        raise SystemExit(1)


def _content(data: str | None, as_json: str | None, headers: tuple[str, ...]) -> tuple[dict[str, str], bytes]:
    """The headers and the body as they were given."""
    pairs = [each.partition(":") for each in headers]
    if not all(name.strip() and colon for name, colon, _ in pairs) or (data is not None and as_json is not None):
        raise CommandError("Give headers as NAME:VALUE, and a body by --data or by --json.", 2)
    kind = {"content-type": "application/json" if data is None else "application/x-www-form-urlencoded"}
    try:
        body = (json.dumps(json.loads(as_json)) if as_json is not None else data or "").encode()
    except ValueError as error:
        raise CommandError(f"--json is no JSON: {error}.", 2) from None
    return (kind if body else {}) | {name.strip().lower(): value.strip() for name, _, value in pairs}, body


async def _ask(
    site: Site, method: str, path: str, headers: dict[str, str], body: bytes, user: str | None, within: float
) -> Answer:
    from project.core.asgi import create_app
    from project.core.db.recording import recorded

    app = create_app(site.settings)
    app.state.runtime.runs_jobs = False
    scope = _scope(site.settings.SITE_URL, method, path, {"content-length": str(len(body))} | headers)
    async with app.router.lifespan_context(app) as state:
        scope["state"] = dict(state or {}) | await _identity(app, user)
        with recorded(app.state.runtime.database) as statements:
            try:
                async with asyncio.timeout(within):
                    answer = await _call(app, scope, body)
            except TimeoutError:
                raise CommandError(f"No whole answer came within {within:g} seconds; --timeout waits longer.") from None
    answer.statements = statements
    return answer


def _scope(site_url: str, method: str, path: str, headers: dict[str, str]) -> dict[str, Any]:
    """What a server would make of the request."""
    at, parts = urlsplit(site_url), urlsplit(path)
    sent = {"host": at.netloc, "accept": "*/*"} | headers
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": at.scheme,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": (at.hostname, at.port or {"http": 80, "https": 443}[at.scheme]),
    }


async def _identity(app: "FastAPI", email: str | None) -> dict[str, Any]:
    """What the request's state holds once somebody has been recognised."""
    if email is None:
        return {}
    identify = app.state.runtime.registry.identify
    found = await identify(app.state.runtime, email) if identify else None
    if found is None:
        raise CommandError(f"There is no account {email!r} that is active.")
    return {"principal": found}


async def _call(app: "FastAPI", scope: dict[str, Any], body: bytes) -> Answer:
    """The app's answer, as a server would get it."""
    answer, given, ended = Answer(), False, asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal given
        if given:
            await ended.wait()
            return {"type": "http.disconnect"}
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()

    started = perf_counter()
    await app(scope, receive, send)
    answer.seconds = perf_counter() - started
    return answer


def _show(answer: Answer) -> None:
    from http import HTTPStatus

    from project.core.log import masked, redact

    click.secho(f"{answer.status} {HTTPStatus(answer.status).phrase}", bold=True, err=True)
    for name, value in answer.headers:
        click.echo(f"{name}: {masked(name, value)}", err=True)
    click.echo(err=True)
    text = answer.body.decode(errors="replace")
    if answer.kind.endswith("json"):
        click.echo(json.dumps(masked("", json.loads(text)), indent=2, ensure_ascii=False))
    elif answer.kind.startswith("text/"):
        click.echo(redact(text))
    elif answer.body:
        click.echo(f"({len(answer.body):,} bytes of {answer.kind})")
    for sql, seconds in answer.statements:
        click.echo(f"{1000 * seconds:8.1f} ms  {redact(sql)}", err=True)
    total = 1000 * sum(seconds for _, seconds in answer.statements)
    count = len(answer.statements)
    click.echo(f"{count} statement(s), {total:.1f} ms; the answer took {1000 * answer.seconds:.1f} ms", err=True)
