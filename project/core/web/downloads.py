"""Downloads: rows become a file while they are read, however many there are."""

import csv
import io
import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any
from unicodedata import normalize
from urllib.parse import quote

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
PART = 16_384  # bytes that are gathered before they are sent
Rows = AsyncGenerator[Mapping[str, Any], None]


class Format(StrEnum):
    """What the rows are written as."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


TYPES = {Format.CSV: "text/csv", Format.JSON: "application/json", Format.JSONL: "application/jsonl"}


class Download(StreamingResponse):
    """The answer; with it end its rows, whether they were read to the end or left."""

    def __init__(self, parts: AsyncGenerator[bytes, None], media_type: str, headers: dict[str, str]) -> None:
        self.parts = parts
        super().__init__(parts, media_type=media_type, headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.parts):
            await super().__call__(scope, receive, send)


def download(name: str, format: Format, columns: Sequence[str], rows: Rows) -> Download:
    """The rows as a file, in UTF-8: CSV with a header (RFC 4180), one JSON array, or JSON Lines.

    Args:
        name: of the file, without its ending; what could lead out of a folder is left out.
        format: of the file.
        columns: the names of what is told of a row, in order; what a row lacks is empty.
        rows: an async generator, read no further than the client follows, and closed when it leaves. The request's
            unit of work has ended by then: it opens short ones of its own.
    """
    stem = re.sub(r"[^\w-]+", "_", name).strip("_")[:100] or "download"
    plain = normalize("NFKD", stem).encode("ascii", "ignore").decode().strip("_") or "download"
    told = f"attachment; filename=\"{plain}.{format}\"; filename*=UTF-8''{quote(stem)}.{format}"
    headers = {"Content-Disposition": told, "Cache-Control": "no-store"}
    return Download(_parts(format, columns, rows), TYPES[format], headers)


async def _parts(format: Format, columns: Sequence[str], rows: Rows) -> AsyncGenerator[bytes, None]:
    part = bytearray(_csv(columns) if format is Format.CSV else b"[" if format is Format.JSON else b"")
    between = b""
    async with aclosing(rows):
        async for row in rows:
            values = {name: row.get(name) for name in columns}
            part += between + (_csv(values.values()) if format is Format.CSV else f"{_json(values)}\n".encode())
            between = b"," if format is Format.JSON else b""
            if len(part) >= PART:
                yield bytes(part)
                part.clear()
    yield bytes(part) + (b"]" if format is Format.JSON else b"")


def _csv(cells: Iterable[Any]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(map(_cell, cells))
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    """The value as a spreadsheet may read it: a number stays one, a text is never a formula."""
    if value is None or isinstance(value, int | float | Decimal):
        return value
    text = _json(value) if isinstance(value, list | dict) else value if isinstance(value, str) else str(_plain(value))
    return f"'{text}" if text.startswith(FORMULA) or text.lstrip().startswith(FORMULA) else text


def _json(value: Any) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.value if isinstance(value, Enum) else str(value)
