"""Messages for the visitor: in the page at hand, in a fragment, or by a signed cookie on the page that follows."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from project.core.signing import BadToken

COOKIE, SECONDS = "flash", 120
KINDS = ("info", "success", "warning", "error")
MOST = 3500  # bytes: browsers drop a cookie over 4096


@dataclass(frozen=True, slots=True)
class Flash:
    """A message; kind is info, success, warning or error."""

    kind: str
    text: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a message is {', '.join(KINDS)}; {self.kind!r} is none of them")


def waiting(request: Request) -> list[Flash]:
    """The messages that a redirect has left for this page."""
    token = request.cookies.get(COOKIE)
    if not token:
        return []
    try:
        claims = request.app.state.signer.read("flash", token)
        return [Flash(str(kind), str(text)) for kind, text in claims["messages"]]
    except (BadToken, KeyError, TypeError, ValueError):
        return []


def leave(request: Request, response: Response, message: Flash) -> None:
    """Let the page after this response show the message, together with those that wait for it already."""
    state = request.app.state
    messages = [(each.kind, each.text) for each in (*waiting(request), message)]
    while len(token := state.signer.sign("flash", "flash", SECONDS, messages=messages)) > MOST:
        kind, text = messages.pop(0)
        if not messages:
            messages = [(kind, f"{text[: len(text) // 2]}…")]
    secure = state.runtime.settings.secure
    response.set_cookie(COOKIE, token, SECONDS, path="/", secure=secure, httponly=True, samesite="lax")


def clear(request: Request, response: Response) -> None:
    """The waiting messages have been shown."""
    if COOKIE in request.cookies:
        response.delete_cookie(COOKIE, path="/")
