"""The body limit: nobody makes this process read more than MAX_BODY_SIZE, declared or chunked."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from project.core.conf import Settings
from project.core.web.problems import Refusal, answer

TOO_LARGE = Refusal(413, "too_large", "This is more than can be sent at once.", headers={"Connection": "close"})


class BodyLimit:
    """Refuses a declared length over the limit at once, and a body that turns out longer as soon as it does.

    Starlette's own limiter stands outside every other layer, so its answers would lack our words and headers.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.limit = settings.MAX_BODY_SIZE

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared[:20]) > self.limit:
            await (await answer(Request(scope, receive), TOO_LARGE))(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit:
                raise HTTPException(TOO_LARGE.status, TOO_LARGE.detail, TOO_LARGE.headers)
            return message

        await self.app(scope, counted, send)
