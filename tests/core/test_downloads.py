"""Downloads: rows become a file while they are read, and nothing in it is a formula."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from starlette.types import Message

from project.core.web.downloads import PART, Format, download

MOMENT = datetime(2026, 5, 31, 12, 0, 1, tzinfo=UTC)
SCOPE = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.3"}}


class Colour(Enum):
    """Not a text by itself."""

    RED = "red"


async def rows_of(*rows: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    for row in rows:
        yield row


async def content(format: Format, *rows: dict[str, Any], columns: list[str]) -> str:
    answer = download("things", format, columns, rows_of(*rows))
    return b"".join([bytes(part) async for part in answer.parts]).decode()


async def cells(value: Any) -> list[str]:
    text = await content(Format.CSV, {"a": value, "b": "last"}, columns=["a", "b"])
    return list(csv.reader(io.StringIO(text, newline="")))[1]


async def test_csv_has_a_header_quotes_and_its_own_line_ends() -> None:
    rows = ({"name": 'a "b", c', "text": "two\nlines", "left out": 1}, {"name": "Zoë"})
    told = await content(Format.CSV, *rows, columns=["name", "text"])
    assert told == 'name,text\r\n"a ""b"", c","two\nlines"\r\nZoë,\r\n'


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"), ids=lambda start: f"U+{ord(start):04X}")
async def test_no_cell_is_a_formula(start: str) -> None:
    assert await cells(f"{start}1+1") == [f"'{start}1+1", "last"]
    header = await content(Format.CSV, columns=[f"{start}1"])
    assert next(csv.reader(io.StringIO(header, newline=""))) == [f"'{start}1"]


@pytest.mark.parametrize("space", [" ", "   ", "\u3000", "\xa0", "\x0b"], ids=ascii)
async def test_no_cell_is_a_formula_after_some_space(space: str) -> None:
    assert await cells(f"{space}=1+1") == [f"'{space}=1+1", "last"]
    assert await cells(f"{space}1+1") == [f"{space}1+1", "last"]


@pytest.mark.parametrize("number", [-1, -1.5, Decimal("-1.50"), 0, True], ids=str)
async def test_a_number_stays_one(number: Any) -> None:
    assert await cells(number) == [str(number), "last"]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, ""),
        (MOMENT, "2026-05-31T12:00:01+00:00"),
        (date(2026, 5, 31), "2026-05-31"),
        (time(12), "12:00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour.RED, "red"),
        (["=a", {"at": MOMENT}], '["=a", {"at": "2026-05-31T12:00:01+00:00"}]'),
        ({"ä": None}, '{"ä": null}'),
    ],
    ids=["None", "datetime", "date", "time", "uuid", "enum", "list", "dict"],
)
async def test_other_values_are_told_as_json_would(value: Any, told: str) -> None:
    assert await cells(value) == [told, "last"]
    row = await content(Format.JSONL, {"a": value}, columns=["a"])
    assert json.loads(row)["a"] == (json.loads(told) if isinstance(value, list | dict) else told or None)


async def test_json_is_one_array_and_jsonl_one_object_a_line() -> None:
    rows = ({"a": -1, "b": "=x", "left out": 1}, {"a": "two\nlines"})
    told = [{"a": -1, "b": "=x"}, {"a": "two\nlines", "b": None}]
    assert json.loads(await content(Format.JSON, *rows, columns=["a", "b"])) == told
    lines = (await content(Format.JSONL, *rows, columns=["a", "b"])).splitlines()
    assert [json.loads(line) for line in lines] == told
    assert json.loads(await content(Format.JSON, columns=["a"])) == []
    assert await content(Format.JSONL, columns=["a"]) == ""


@pytest.mark.parametrize(
    ("format", "kind"),
    [
        (Format.CSV, "text/csv; charset=utf-8"),
        (Format.JSON, "application/json"),
        (Format.JSONL, "application/jsonl"),
    ],
)
async def test_it_is_a_file_that_nobody_stores(format: Format, kind: str) -> None:
    headers = download("results", format, ["a"], rows_of()).headers
    assert headers["content-type"] == kind
    assert headers["cache-control"] == "no-store"
    assert headers["content-disposition"].startswith(f'attachment; filename="results.{format}"; ')


@pytest.mark.parametrize(
    ("name", "plain", "told"),
    [
        ('../a"b\r\nX: y/.bashrc', "a_b_X_y_bashrc", "a_b_X_y_bashrc"),
        ("Zoë's", "Zoe_s", "Zo%C3%AB_s"),
        ("名", "download", "%E5%90%8D"),
        ("..", "download", "download"),
        ("x" * 300, "x" * 100, "x" * 100),
    ],
    ids=["path", "accent", "foreign", "dots", "long"],
)
async def test_the_file_has_a_name_that_harms_nobody(name: str, plain: str, told: str) -> None:
    found = download(name, Format.CSV, ["a"], rows_of()).headers["content-disposition"]
    assert found == f"attachment; filename=\"{plain}.csv\"; filename*=UTF-8''{told}.csv"


class Endless:
    """Rows without end, and how many were asked for."""

    def __init__(self) -> None:
        self.given, self.closed = 0, asyncio.Event()

    async def rows(self) -> AsyncGenerator[dict[str, Any], None]:
        try:
            while True:
                self.given += 1
                yield {"a": "x" * 1023}
        finally:
            self.closed.set()


@pytest.mark.parametrize("format", list(Format))
async def test_rows_are_read_no_further_than_the_client_follows(format: Format) -> None:
    endless = Endless()
    answer = download("endless", format, ["a"], endless.rows())
    assert endless.given == 0
    for number in (1, 2, 3):
        part = await anext(answer.parts)
        assert PART <= len(part) < PART + 2048
        assert endless.given <= number * PART / 1023 + 1
    await answer.parts.aclose()
    assert endless.closed.is_set()


@pytest.mark.parametrize("version", ["2.3", "2.4"], ids=["listening", "raising"])
async def test_the_rows_are_closed_when_the_client_leaves(version: str) -> None:
    endless, left, bodies = Endless(), asyncio.Event(), 0

    async def send(message: Message) -> None:
        nonlocal bodies
        bodies += message["type"] == "http.response.body"
        if bodies == 3:
            left.set()
            if version == "2.4":
                raise OSError
            await asyncio.Event().wait()

    async def receive() -> Message:
        await left.wait()
        return {"type": "http.disconnect"}

    scope = SCOPE | {"asgi": {"spec_version": version}}
    gone: type[BaseException] | None = None
    try:
        await download("endless", Format.CSV, ["a"], endless.rows())(scope, receive, send)
    except Exception as error:
        gone = type(error)
    assert (gone.__name__ if gone else "") == ("ClientDisconnect" if version == "2.4" else "")
    assert endless.closed.is_set()
    assert bodies == 3
