"""A static file as it is answered: its encodings, with every header built once, and the choice among them."""

import asyncio
import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from starlette.types import Receive, Scope, Send

from project.core.web.static.conditional import CONDITIONS, judge

IN_MEMORY = 262_144
CHUNK = 262_144
ENDINGS = {"br": ".br", "gzip": ".gz", "identity": ""}  # in the order of our preference
REVALIDATE, FOREVER = "no-cache", "public, max-age=31536000, immutable"
Headers = list[tuple[bytes, bytes]]

_TYPES = mimetypes.MimeTypes()  # the interpreter's own table: the machine's files would make answers differ
for _kind, _ending in [
    ("text/javascript", ".js"),
    ("text/javascript", ".mjs"),
    ("application/json", ".map"),
    ("application/manifest+json", ".webmanifest"),
    ("font/woff", ".woff"),
    ("font/woff2", ".woff2"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
    ("image/x-icon", ".ico"),
    ("text/markdown", ".md"),
]:
    _TYPES.add_type(_kind, _ending)
_CODING = re.compile(r"\s*([\w*.-]+)\s*(?:;\s*q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?", re.I)


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one encoding, in memory or on disk."""

    path: Path
    etag: str
    encoding: str
    size: int
    body: bytes | None


def read(path: Path, etag: str, encoding: str = "identity", *, in_memory: bool = True) -> Content:
    """The content of a file; small ones are kept in memory. Raises OSError."""
    body = path.read_bytes() if in_memory and path.stat().st_size <= IN_MEMORY else None
    return Content(path, f'"{etag}"', encoding, path.stat().st_size if body is None else len(body), body)


def media_type(name: str) -> str:
    """The Content-Type of a file with this name."""
    kind, packed = _TYPES.guess_type(name)
    if packed:
        return "application/gzip" if packed == "gzip" else "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind and kind.startswith("text/") else kind or "application/octet-stream"


@lru_cache(maxsize=256)
def preferred(accept: str | None) -> tuple[str, ...]:
    """The encodings a client takes, best first (RFC 9110, 12.5.3); without the header only identity."""
    if accept is None:
        return ("identity",)
    given = {}
    for part in accept.lower().split(","):
        match = _CODING.fullmatch(part)
        if match:
            given[match[1]] = float(match[2] or 1)
    others = given.get("*", 0.0)
    weights = {name: given.get(name, others) for name in ENDINGS}
    if "identity" not in given and "*" not in given:
        weights["identity"] = 0.0001  # always acceptable, and less than whatever was asked for
    return tuple(name for name in sorted(ENDINGS, key=lambda name: -weights[name]) if weights[name])


class StaticFile:
    """One name's encodings, ready to be sent. `etag`s are strong and differ between encodings."""

    def __init__(self, name: str, contents: Sequence[Content], modified: float, caching: str, more: Headers) -> None:
        self.modified = int(modified)
        self.contents = {content.encoding: content for content in contents}
        self._of_every_answer: dict[str, Headers] = {}
        self._of_the_whole: dict[str, Headers] = {}
        vary = [(b"vary", b"Accept-Encoding")] if len(contents) > 1 else []
        for encoding, content in self.contents.items():
            every = [(b"cache-control", caching.encode()), (b"etag", content.etag.encode()), *vary, *more]
            coded = [(b"content-encoding", encoding.encode())] if encoding != "identity" else []
            self._of_every_answer[encoding] = every
            self._of_the_whole[encoding] = [
                (b"content-length", str(content.size).encode()),
                (b"content-type", media_type(name).encode()),
                (b"last-modified", formatdate(self.modified, usegmt=True).encode()),
                (b"accept-ranges", b"bytes"),
                *coded,
                *every,
            ]

    def choose(self, accept: bytes | None) -> str:
        """The encoding to send; identity where nothing that is there is acceptable."""
        if len(self.contents) == 1:
            return "identity"
        for encoding in preferred(accept if accept is None else accept.decode("latin-1")):
            if encoding in self.contents:
                return encoding
        return "identity"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a GET or HEAD; raises OSError before anything is sent when a large file has gone meanwhile."""
        given = dict(scope["headers"])
        encoding = self.choose(given.get(b"accept-encoding"))
        content = self.contents[encoding]
        status, start, stop, headers = 200, 0, content.size, self._of_the_whole[encoding]
        if not CONDITIONS.isdisjoint(given):
            alone = len(self.contents) == 1
            verdict = judge(scope["method"], given, content.etag.encode(), self.modified, content.size, alone=alone)
            status, start, stop = verdict.status, verdict.start, verdict.stop
            headers = self._headers(encoding, verdict.status, start, stop)
        empty = scope["method"] == "HEAD" or start == stop
        file = None if empty or content.body is not None else await asyncio.to_thread(content.path.open, "rb")
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if file is not None:
            await _stream(file, start, stop, receive, send)
        else:
            body = b"" if empty or content.body is None else content.body[start:stop]
            await send({"type": "http.response.body", "body": body})

    def _headers(self, encoding: str, status: int, start: int, stop: int) -> Headers:
        whole, size = self._of_the_whole[encoding], self.contents[encoding].size
        match status:
            case 200:
                return whole
            case 206:
                span = (b"content-range", f"bytes {start}-{stop - 1}/{size}".encode())
                return [(b"content-length", str(stop - start).encode()), span, *whole[1:]]
            case 304:
                return self._of_every_answer[encoding]
        total = [(b"content-range", f"bytes */{size}".encode())] if status == 416 else []
        return [(b"content-length", b"0"), (b"cache-control", b"no-store"), *total]


async def _stream(file: BinaryIO, start: int, stop: int, receive: Receive, send: Send) -> None:
    """Send a part of a file, each read in a thread; stop reading when the client has left."""

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.create_task(left())
    try:
        await asyncio.to_thread(file.seek, start)
        while start < stop and not leaving.done():
            chunk = await asyncio.to_thread(file.read, min(CHUNK, stop - start))
            start += len(chunk) or stop
            await send({"type": "http.response.body", "body": chunk, "more_body": start < stop})
    finally:
        leaving.cancel()
        file.close()
