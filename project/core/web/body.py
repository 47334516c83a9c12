"""The body limit: nobody makes this process read more than MAX_BODY_SIZE, or parse more fields than a form may have."""

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from project.core.conf import Settings
from project.core.web.problems import Refusal, answer

# The client's charset decodes every part on the event loop, and punycode takes minutes for a megabyte.
ODD_CHARSET = Refusal(415, "unsupported_media_type", "Send forms as UTF-8.", headers={"Connection": "close"})
UTF8 = {b"utf-8", b"utf8", b""}
TOO_LARGE = Refusal(413, "too_large", "This is more than can be sent at once.", headers={"Connection": "close"})


def _charset(kind: str) -> bytes:
    """The charset as the form's parser will read it, whatever else the header says."""
    charset: bytes = parse_options_header(kind.encode("latin-1"))[1].get(b"charset", b"")
    return charset


class BodyLimit:
    """Refuses a declared length over the limit at once, and a body that turns out longer as soon as it does.

    Starlette's own limiter stands outside every other layer, so its answers would lack our words and headers.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.limit = settings.MAX_BODY_SIZE
        self.fields = settings.MAX_FORM_FIELDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        declared = headers.get("content-length", "")
        expected = int(declared[:20]) if declared.isdigit() else 0
        kind = headers.get("content-type", "").lower()
        if kind.startswith("multipart/") and _charset(kind) not in UTF8:
            await (await answer(Request(scope, receive), ODD_CHARSET))(scope, receive, send)
            return
        is_form = kind.startswith("application/x-www-form-urlencoded")
        if expected > self.limit and not kind.startswith("multipart/form-data"):
            await (await answer(Request(scope, receive), TOO_LARGE))(scope, receive, send)
            return
        read = pairs = 0

        async def counted() -> Message:
            nonlocal read, pairs
            limit = scope.get("state", {}).get("max_body", self.limit)  # a form that asks for files takes more
            if expected > limit:
                raise HTTPException(TOO_LARGE.status, TOO_LARGE.detail, TOO_LARGE.headers)
            message = await receive()
            body = message.get("body", b"")
            read += len(body)
            pairs += body.count(b"&") if is_form else 0  # the parser passes empty pairs over, one by one
            if read > limit or pairs > self.fields:
                raise HTTPException(TOO_LARGE.status, TOO_LARGE.detail, TOO_LARGE.headers)
            return message

        await self.app(scope, counted, send)
