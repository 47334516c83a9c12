"""Rows from a CSV file: each is tried in one transaction, which is kept only when all are good and somebody said so."""

import csv
import io
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any

from sqladmin._queries import Query
from starlette.datastructures import MultiDict, UploadFile
from starlette.requests import Request
from wtforms import fields  # type: ignore[import-untyped]

from project.core.admin.door import ON_THE_FORM, Refused, telling
from project.core.errors import BadRequest, Invalid
from project.core.web.downloads import FORMULA

if TYPE_CHECKING:
    from project.core.admin.views import ModelAdmin

LARGEST = 512 * 1024  # bytes
YES_OR_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
READ: dict[type, Callable[[str], Any]] = {
    fields.BooleanField: lambda cell: YES_OR_NO[cell.lower()],
    fields.DateField: date.fromisoformat,
    fields.TimeField: time.fromisoformat,
    fields.DateTimeField: datetime.fromisoformat,
}
Row = dict[str, str]


async def imported(view: "ModelAdmin", request: Request) -> dict[str, Any]:
    """What to tell of the file that was sent; its rows are added when it was looked at before, and all are good."""
    form = await view.scaffold_form()
    names = [name for name in view._import_prop_names if name in view._mapper.columns]
    found: dict[str, Any] = {"known": [name for name in names if getattr(form, name, None) is not None], "wrong": []}
    if request.method == "POST":
        async with request.form() as sent:
            file, kept = sent.get("file"), sent.get("kept")
            looked_at = isinstance(kept, str)
            try:
                content = await file.read(LARGEST + 1) if isinstance(file, UploadFile) else b64decode(str(kept))
                rows = read(content, found["known"], view.import_max_rows)
            except (BadRequest, ValueError) as error:
                return found | {"error": str(error) if isinstance(error, BadRequest) else "Choose a file first."}
        wrong = await _tried(view, request, form, rows, keep=looked_at)
        done = looked_at and not any(wrong)
        found |= {"rows": rows, "wrong": wrong, "kept": b64encode(content).decode(), "done": done}
    return found


def read(content: bytes, known: list[str], most: int) -> list[Row]:
    """The rows of a file by its header; raises BadRequest in words for what is no such file."""
    if len(content) > LARGEST:
        raise BadRequest(f"The file is larger than {LARGEST // 1024} kB. Import it in parts.")
    try:
        text = content.decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header, *lines = [line for line in reader if line] or [[]]
    except (UnicodeDecodeError, csv.Error):
        raise BadRequest("This is not a CSV file in UTF-8.") from None
    if odd := [name for name in header if name not in known or header.count(name) > 1]:
        raise BadRequest(f"The columns are {', '.join(known)}; the first line says {odd[0][:50]!r}.")
    if not lines or len(lines) > most:
        raise BadRequest(f"The file has {len(lines):,} rows. Between 1 and {most:,} can be imported at once.")
    if uneven := [number for number, line in enumerate(lines, 2) if len(line) != len(header)]:
        raise BadRequest(f"Line {uneven[0]} has more or fewer cells than the first line.")
    # An export puts a quote in front of what a spreadsheet would calculate.
    plain = [
        [each[1:] if each[:1] == "'" and each[1:].startswith(FORMULA) else each for each in line] for line in lines
    ]
    return [dict(zip(header, line, strict=True)) for line in plain]


async def _tried(view: "ModelAdmin", request: Request, form: Any, rows: list[Row], *, keep: bool) -> list[str]:
    """Add the rows, all or none, and only to `keep` them; returns what is wrong with each, or ""."""
    query, added, wrong = Query(view), [], []
    async with view.session_maker(expire_on_commit=False) as db:
        for row in rows:
            try:
                with telling(request, view._column_labels):
                    async with db.begin_nested():
                        data = view._checked(_values(view, form, row))
                        new = query._get_model_object(data)
                        await view.on_model_change(data, new, True, request)
                        db.add(await query._set_attributes_async(db, new, data))
                        await db.flush()
                added.append((data, new))
            except Refused as refused:
                error, refusal = request.state.admin_error
                if refusal.status not in ON_THE_FORM:
                    raise error from None
                wrong.append(str(refused))
            else:
                wrong.append("")
        if keep and not any(wrong):
            await db.commit()
            for data, new in added:
                await view.after_model_change(data, new, True, request)
    return wrong


def _values(view: "ModelAdmin", form: Any, row: Row) -> dict[str, Any]:
    """What the form makes of a row, and the model's own values for what the file leaves out; raises Invalid."""
    typed = {name: value for name, cell in row.items() if (value := _typed(view, form, name, cell)) is not None}
    texts = {name: f"{each:%F %T}" if isinstance(each, datetime) else str(each) for name, each in typed.items()}
    filled = form(MultiDict({name: text for name, text in texts.items() if typed[name] is not False}))
    if not filled.validate():
        told = (f"{view._column_labels.get(name, name)}: {errors[0]}" for name, errors in filled.errors.items())
        raise Invalid(" ".join(told))
    usual = {name: each for name in filled.data if (each := getattr(view.model(), name, None)) is not None}
    read = {name: each if isinstance(each, date | time) else filled.data[name] for name, each in typed.items()}
    return view._typed(usual | read)


def _typed(view: "ModelAdmin", form: Any, name: str, cell: str) -> Any:
    """A yes or no, a day or a time as such, whichever way it is written; other cells as text, None to leave it out."""
    field_class = getattr(form, name).field_class
    if not cell:
        return cell if issubclass(field_class, fields.StringField) else None
    read = next((read for kind, read in READ.items() if issubclass(field_class, kind)), str)
    try:
        value = read(cell)
    except (KeyError, ValueError):
        raise Invalid(f"{view._column_labels.get(name, name)}: {cell[:50]!r} cannot be read.") from None
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and not value.tzinfo else value
