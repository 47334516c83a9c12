"""Bodies: compressed bytes come in, bounded pieces go out; and what the first of them tell about a page."""

import html
import re
import zlib
from collections.abc import Iterator
from typing import Any, Protocol

import brotli

STEP = 65_536  # bytes that are inflated at once
ACCEPTED = "gzip, deflate, br"
LONGEST_TITLE = 300
CODECS = {
    *("utf-8", "utf8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "latin1", "koi8-r", "koi8-u"),
    *(f"iso-8859-{number}" for number in range(1, 17) if number != 12),
    *(f"windows-{number}" for number in (874, *range(1250, 1259))),
    *("gb2312", "gbk", "gb18030", "big5", "shift-jis", "euc-jp", "iso-2022-jp", "euc-kr"),
}
MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
CHARSET = re.compile(rb"charset\s*=\s*[\"']?([\w-]{1,40})")
TITLE = re.compile(rb"<title[\s>]")


class BadBody(Exception):
    """It is not compressed as it says."""


class Inflater(Protocol):
    """Takes a body apart as it comes."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What these bytes inflate to, piece by piece; raises BadBody."""

    def end(self) -> None:
        """Nothing more comes; raises BadBody when something is missing."""


class Plain:
    """Not compressed."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes themselves."""
        yield data

    def end(self) -> None:
        """Nothing can be missing."""


class Zlib:
    """gzip, in one part or several, and deflate, with its header and without."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding == "gzip"
        self._inflate: Any = None  # a zlib.decompressobj, whose type has no public name

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See Inflater."""
        try:
            while data:
                if self._inflate is None:
                    self._inflate = zlib.decompressobj(31 if self._gzip else 15 if data[0] & 15 == 8 else -15)
                piece = self._inflate.decompress(data, STEP)
                data = self._inflate.unconsumed_tail
                while piece:
                    yield piece
                    piece = b"" if data else self._inflate.decompress(b"", STEP)
                if self._inflate.eof:
                    data = self._inflate.unused_data
                    self._inflate = None if data else self._inflate
        except zlib.error:
            raise BadBody from None

    def end(self) -> None:
        """See Inflater."""
        if self._inflate and not self._inflate.eof:
            raise BadBody


class Brotli:
    """br."""

    def __init__(self) -> None:
        self._inflate = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See Inflater."""
        try:
            piece = self._inflate.process(data, output_buffer_limit=STEP)
            while piece or not self._inflate.can_accept_more_data():
                yield piece
                piece = self._inflate.process(b"", output_buffer_limit=STEP)
        except brotli.error:
            raise BadBody from None

    def end(self) -> None:
        """See Inflater."""
        if not self._inflate.is_finished():
            raise BadBody


def inflater(encoding: str) -> Inflater:
    """What takes a body of this Content-Encoding apart; raises BadBody for one that was not asked for."""
    encoding = encoding.strip().lower().removeprefix("x-")
    if encoding in ("", "identity"):
        return Plain()
    if encoding in ("gzip", "deflate"):
        return Zlib(encoding)
    if encoding == "br":
        return Brotli()
    raise BadBody


def charset_of(content_type: str, head: bytes) -> str:
    """The charset of a text: by its mark, its type, its first words, else UTF-8; only codecs that are safe."""
    for mark, name in MARKS.items():
        if head.startswith(mark):
            return name
    for words in (content_type.encode("ascii", "replace"), head):
        found = CHARSET.search(words.lower())
        name = found[1].decode().replace("_", "-") if found else ""
        if name in CODECS:
            return name
    return "utf-8"


def title_of(page: bytes, charset: str) -> str:
    """The first title of a page in one line of at most 300 printable characters, or nothing."""
    if charset.startswith("utf-16"):
        page, charset = page.decode(charset, "replace").encode(errors="replace"), "utf-8"
    codec = charset.replace("windows-", "cp")  # Python does not know windows-874
    lower = page.lower()
    start = TITLE.search(lower)
    inside = lower.find(b">", start.start()) + 1 if start else 0
    end = lower.find(b"</title", inside) if inside else -1
    # Cut before unescaping: that takes long numbers, and refuses the longest ones.
    title = html.unescape(page[inside : min(end, inside + 2000)].decode(codec, "replace")) if end > 0 else ""
    if not title.isprintable():
        title = "".join(letter if letter.isprintable() else " " for letter in title)
    return " ".join(title.split())[:LONGEST_TITLE]
