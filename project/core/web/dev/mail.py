"""The inbox at /_dev/mail: what the sender `file:` wrote, newest first, as its reader sees it."""

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from project.core.errors import NotFound
from project.core.mail.senders import Files
from project.core.web.deps import CurrentRuntime
from project.core.web.pages import render

NAME = re.compile(r"[\w-]{1,200}", re.A)
SHOWN = 100
# A page without an origin: no script, nothing fetched; its links open beside it, and only there they are the site's.
SANDBOX = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; "
    "sandbox allow-popups allow-popups-to-escape-sandbox",
    "X-Frame-Options": "SAMEORIGIN",
}
router = APIRouter(prefix="/_dev/mail")


@dataclass(frozen=True, slots=True)
class Letter:
    """One file: its name without the ending, when it was written, what it says."""

    stem: str
    at: datetime
    mail: EmailMessage

    def part(self, kind: str) -> str:
        """The body of this kind, plain or html, or nothing."""
        body = self.mail.get_body((kind,))
        return str(body.get_content()) if body else ""


@router.get("", name="dev:mail")
async def inbox(request: Request, runtime: CurrentRuntime) -> Response:
    """The newest mails."""
    sender = runtime.mail.sender
    found = await asyncio.to_thread(_newest, sender.folder) if isinstance(sender, Files) else None
    return render(request, "core/dev/mail.html", {"letters": found, "sender": sender, "shown": SHOWN})


@router.get("/{stem}", name="dev:letter")
async def letter(request: Request, runtime: CurrentRuntime, stem: str) -> Response:
    """One mail."""
    return render(request, "core/dev/letter.html", {"letter": await _open(runtime, stem)})


@router.get("/{stem}/html", name="dev:letter-html")
async def as_html(runtime: CurrentRuntime, stem: str) -> Response:
    """Its HTML alone, for the frame in that page."""
    return HTMLResponse((await _open(runtime, stem)).part("html"), headers=SANDBOX)


async def _open(runtime: CurrentRuntime, stem: str) -> Letter:
    sender = runtime.mail.sender
    if not isinstance(sender, Files) or not NAME.fullmatch(stem):
        raise NotFound
    try:
        return await asyncio.to_thread(_read, sender.folder / f"{stem}.eml")
    except FileNotFoundError:
        raise NotFound from None


def _newest(folder: Path) -> list[Letter]:
    names = sorted((path for path in folder.glob("*.eml") if NAME.fullmatch(path.stem)), reverse=True)
    return [_read(path, headersonly=True) for path in names[:SHOWN]]


def _read(path: Path, *, headersonly: bool = False) -> Letter:
    with path.open("rb") as file:
        mail = BytesParser(EmailMessage, policy=policy.default).parse(file, headersonly=headersonly)
    return Letter(path.stem, datetime.fromtimestamp(path.stat().st_mtime, UTC), mail)
