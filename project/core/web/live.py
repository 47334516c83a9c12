"""Live pages: blocks that are drawn anew when something is published, and toasts. One stream carries both to a page.

The stream says no more than which topics have changed; the page then asks its own address for the block, so that its
handler answers, with the rights that the visitor has now (static/core/live.js).
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from project.core.identity import Principal
from project.core.live import Event, notices, stream
from project.core.live.bus import Bells
from project.core.live.events import check_topic
from project.core.live.revoking import REVOCATIONS
from project.core.signing import BadToken
from project.core.web.deps import CurrentRuntime

pages = APIRouter()
PASS = "live"  # noqa: S105 - the purpose of what a page is given for each of its live blocks
HEADER = "X-Live"  # by which the page asks for a block, and is told that it got one
SECONDS = 604_800  # for which a page may ask for its block
FRESH = 3600  # seconds for which it may begin to hear its topic: who loses a right to the page is given no other pass
MOST = 20  # topics of one page
MARK = Markup('<noscript data-live="{}" data-live-block="{}" data-live-pass="{}"><a href="">{}</a></noscript>')


@pass_context
def live(context: Context, topic: str, *ids: object, block: str) -> Markup:
    """Draw a block of this very page anew whenever something is published on a topic.

    `{{ live("blog.post", post.id, block="likes") }}` hears `blog.post:<id>`. It stands in the block, directly in the
    one element that the block is, and the block is live for as long as it prints this. Without JavaScript there is a
    link in its place that loads the page again. A field that people type into does not belong in such a block.

    The page's own handler answers: `render` gives just the block when its page asks. A block is drawn when the page
    opens, and then some hundred milliseconds after another at most, however much is published.

    Raises KeyError for a block that the template does not have, and ValueError for a topic that cannot be one.
    """
    if block not in context.blocks:
        raise KeyError(f"{context.name} has no block {block!r}")
    request, topic = context["request"], ":".join([topic, *map(str, ids)])
    check_topic(topic)
    claims = {"topic": topic, "block": block, "path": request.url.path}
    given = request.app.state.signer.sign(PASS, _session(request), SECONDS, **claims)
    return MARK.format(topic, block, given, context["_"]("Refresh"))


def asked_block(request: Request) -> str | None:
    """The live block that this page asks for, if it does; None for one of another page or another visitor."""
    claims = _read(request, request.headers.get(HEADER, ""))
    return str(claims["block"]) if claims and claims["path"] == request.url.path else None


def _session(request: Request) -> str:
    user: Principal | None = getattr(request.state, "principal", None)
    return str(user.session_id) if user else ""


def _read(request: Request, given: str) -> dict[str, Any] | None:
    try:
        claims: dict[str, Any] = request.app.state.signer.read(PASS, given)
    except BadToken:
        return None
    return claims if claims["sub"] == _session(request) else None


@pages.get("/stream", name="live:stream")
async def follow(
    request: Request, runtime: CurrentRuntime, on: Annotated[list[str], Query(max_length=MOST, default_factory=list)]
) -> Response:
    """What a page hears: which of its topics have changed, `null` for all of them; and toasts, as HTML."""
    user: Principal | None = request.state.principal
    passes = [claims for each in on if (claims := _read(request, each)) and claims["iat"] > time.time() - FRESH]
    if len(passes) < len(on) or not (passes or user):
        return Response(status_code=204)  # by which a browser knows that it need not come again
    mine = [notices.topic_of(user.id)] if user else []

    async def snapshot() -> Sequence[Event]:
        if user is None:
            return [Event("changed")]
        async with runtime.unit_of_work(write=False) as db:
            return [Event("changed"), *await notices.waiting(db, user.id)]

    async def render(event: Event) -> str | None:
        if event.type != notices.NOTICE:
            return None
        async with runtime.unit_of_work() as db:
            await notices.forget(db, event)
        return str(request.app.state.templates.globals["ui"].notice(**event.data))

    topics, by = {claims["topic"] for claims in passes}, Bells(REVOCATIONS, *mine)
    return stream(request, runtime, *topics, *mine, by=by, snapshot=snapshot, render=render)
