"""Preconditions and ranges (RFC 9110, sections 13 and 14): what a request for a known file is answered with."""

import calendar
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate

CONDITIONS = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"range", b"if-range"}
)
_TAG = re.compile(rb'(?:W/)?"[^"]*"')
_RANGE = re.compile(rb"bytes=\s*(?:(\d{1,99})-(\d{0,99})|-(\d{1,99}))\s*", re.I)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, and which bytes to send: from `start` up to, not including, `stop`."""

    status: int
    start: int = 0
    stop: int = 0


def judge(method: str, given: Mapping[bytes, bytes], etag: bytes, modified: int, size: int, *, alone: bool) -> Verdict:
    """200, 206, 304, 412 or 416 for a GET or HEAD.

    `modified` is in seconds; `alone` says that the file has no other encodings, which would share its date.
    """
    if b"if-match" in given:
        if not _lists(given[b"if-match"], etag, weakly=False):
            return Verdict(412)
    elif (date := _date(given.get(b"if-unmodified-since"))) is not None and modified > date:
        return Verdict(412)
    if b"if-none-match" in given:
        if _lists(given[b"if-none-match"], etag, weakly=True):
            return Verdict(304)
    elif (date := _date(given.get(b"if-modified-since"))) is not None and modified <= date:
        return Verdict(304)
    if method == "GET" and b"range" in given and _still(given.get(b"if-range"), etag, modified, alone=alone):
        return _span(given[b"range"], size)
    return Verdict(200, 0, size)


def _lists(value: bytes, etag: bytes, *, weakly: bool) -> bool:
    tags = _TAG.findall(value)
    return value.strip() == b"*" or etag in ([tag.removeprefix(b"W/") for tag in tags] if weakly else tags)


def _date(value: bytes | None) -> int | None:
    try:
        parts = parsedate((value or b"").decode("latin-1"))
        return calendar.timegm(parts) if parts else None
    except (ValueError, OverflowError):
        return None


def _still(value: bytes | None, etag: bytes, modified: int, *, alone: bool) -> bool:
    """If-Range: an exact tag, or a date where that is a strong validator (section 8.8.2.2)."""
    if value is None or value.strip() == etag:
        return True
    return alone and _date(value) == modified and modified < int(time.time())


def _span(value: bytes, size: int) -> Verdict:
    """One range; several, or what is not understood, means the whole file, as section 14.2 allows."""
    whole = Verdict(200, 0, size)
    match = _RANGE.fullmatch(value.strip())
    if match is None:
        return whole
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(0, size - int(suffix)), size
        return whole if size == 0 < int(suffix) else Verdict(206, start, stop) if int(suffix) else Verdict(416)
    start, stop = int(first), min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return whole
    return Verdict(206, start, stop) if start < size else Verdict(416)
