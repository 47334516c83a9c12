"""One request through the whole site, without a server: the answer, its SQL, its time."""

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import click

from project.core.management import CommandError, Site
from project.core.management.cli import in_words

if TYPE_CHECKING:
    import httpx2
    from fastapi import FastAPI

    from project.core.db.recording import Recording

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


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
        answer, asked = asyncio.run(_ask(site, method.upper(), path, named, body, user, timeout))
    _show(answer, asked)
    if answer.is_error:
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
) -> "tuple[httpx2.Response, Recording]":
    import httpx2

    from project.core.asgi import create_app
    from project.core.db.recording import recorded

    app = create_app(site.settings)
    app.state.runtime.runs_jobs = False
    async with app.router.lifespan_context(app) as state:
        known = dict(state or {}) | await _identity(app, user)

        async def as_somebody(scope: Any, receive: Any, send: Any) -> None:
            await app(scope | {"state": dict(known)}, receive, send)

        transport = httpx2.ASGITransport(as_somebody, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=site.settings.SITE_URL) as client:
            with recorded() as asked:
                try:
                    async with asyncio.timeout(within):
                        return await client.request(method, path, headers=headers, content=body), asked
                except TimeoutError:
                    late = f"No whole answer came within {within:g} seconds; --timeout waits longer."
                    raise CommandError(late) from None


async def _identity(app: "FastAPI", email: str | None) -> dict[str, Any]:
    """What the request's state holds once somebody has been recognised."""
    if email is None:
        return {}
    identify = app.state.runtime.registry.identify
    found = await identify(app.state.runtime, email) if identify else None
    if found is None:
        raise CommandError(f"There is no account {email!r} that is active.")
    return {"principal": found}


def _show(answer: "httpx2.Response", asked: "Recording") -> None:
    from project.core.log import masked, redact

    click.secho(f"{answer.status_code} {HTTPStatus(answer.status_code).phrase}", bold=True, err=True)
    for name, value in answer.headers.multi_items():
        click.echo(f"{name}: {masked(name, value)}", err=True)
    click.echo(err=True)
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind.endswith("json"):
        click.echo(json.dumps(masked("", answer.json()), indent=2, ensure_ascii=False))
    elif kind.startswith("text/"):
        click.echo(redact(answer.text))
    elif answer.content:
        click.echo(f"({len(answer.content):,} bytes of {kind})")
    for each in asked.statements:
        click.echo(f"{1000 * each.seconds:8.1f} ms  {redact(each.sql)}", err=True)
    took = f"{1000 * asked.seconds:.1f} ms; the answer took {1000 * answer.elapsed.total_seconds():.1f} ms"
    click.echo(f"{asked.count} statement(s), {took}", err=True)
