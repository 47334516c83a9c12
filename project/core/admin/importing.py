"""Rows from a CSV file: each is tried in one transaction, which is kept only when all are good and somebody said so.

A row that names one there is, by its id or by a column in which no value stands twice, changes that one.
"""

import csv
import io
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqladmin._queries import Query
from starlette.datastructures import MultiDict, UploadFile
from starlette.requests import Request
from wtforms import fields  # type: ignore[import-untyped]

from project.core.admin.audit import differences, plain
from project.core.admin.door import ON_THE_FORM, Refused, telling
from project.core.errors import BadRequest, Forbidden, Invalid, NotFound
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


@dataclass
class Line:
    """A line of the file, what it does, and what is wrong with it; `changes` is {label: [before, after]}."""

    number: int
    cells: dict[str, str]
    new: bool = True
    changes: dict[str, list[Any]] = field(default_factory=dict)
    wrong: str = ""


async def imported(view: "ModelAdmin", request: Request) -> dict[str, Any]:
    """What to tell of the file that was sent; it is imported when it was looked at, and still does what it did then."""
    trial = Trial(view, request, await view.scaffold_form())
    found: dict[str, Any] = {"known": trial.known, "keys": [*filter(None, [trial.key]), *trial.unique]}
    if request.method == "POST":
        async with request.form() as sent:
            file, kept, plan = sent.get("file"), sent.get("kept"), sent.get("plan")
            try:
                content = await file.read(LARGEST + 1) if isinstance(file, UploadFile) else b64decode(str(kept))
                lines = read(content, trial.known, view.import_max_rows)
            except (BadRequest, ValueError) as error:
                return found | {"error": str(error) if isinstance(error, BadRequest) else "Choose a file first."}
        done, now = await trial.run(lines, str(plan))
        found |= {"lines": lines, "kept": b64encode(content).decode(), "plan": now, "done": done}
        found["again"] = isinstance(plan, str) and plan != now
    return found


def read(content: bytes, known: list[str], most: int) -> list[Line]:
    """The lines of a file by its header; raises BadRequest in words for what is no such file."""
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
    cells = [
        [each[1:] if each[:1] == "'" and each[1:].startswith(FORMULA) else each for each in line] for line in lines
    ]
    return [Line(number, dict(zip(header, line, strict=True))) for number, line in enumerate(cells, 2)]


class Trial:
    """The lines of a file, tried on the tables."""

    def __init__(self, view: "ModelAdmin", request: Request, form: Any) -> None:
        self.view, self.request, self.form = view, request, form
        columns = view._mapper.columns
        names = [name for name in view._import_prop_names if name in columns and hasattr(form, name)]
        changing = view.can_edit and view.has_permission(request, "edit")
        self.key = view.pk_columns[0].key if changing and len(view.pk_columns) == 1 else ""
        self.unique = [name for name in names if changing and _alone(columns[name])]
        self.known = [*filter(None, [self.key]), *(name for name in names if name != self.key)]
        self.met: dict[Any, int] = {}  # {identity of a row: the line that has changed it}

    async def run(self, lines: list[Line], plan: str) -> tuple[bool, str]:
        """Try them, and keep what they do if this is still the plan; returns whether it was kept, and the plan now."""
        kept = []
        async with self.view.session_maker(expire_on_commit=False) as db:
            for line in lines:
                try:
                    with telling(self.request, self.view._column_labels):
                        async with db.begin_nested():
                            kept.append(await self._do(db, line))
                except Refused as refused:
                    error, refusal = self.request.state.admin_error
                    if refusal.status not in ON_THE_FORM:
                        raise error from None
                    line.wrong = str(refused)
            told = json.dumps([(line.new, line.changes, line.wrong) for line in lines])
            now = sha256(told.encode()).hexdigest()
            if now != plan or any(line.wrong for line in lines):
                return False, now
            await db.commit()
        for data, row, new in kept:
            await self.view.after_model_change(data, row, new, self.request)
        return True, now

    async def _do(self, db: Any, line: Line) -> tuple[dict[str, Any], Any, bool]:
        """Add a row, or change the one that the line names; raises Invalid, Forbidden and what the view refuses."""
        view, query = self.view, Query(self.view)
        filled, given = self._filled(line.cells)
        row = await self._named(db, line, given)
        line.new = row is None
        data = view._checked(self._values(filled, given, row))
        row = query._get_model_object(data) if row is None else row
        await view.on_model_change(data, row, line.new, self.request)
        if not line.new:
            data = {name: value for name, value in data.items() if value != getattr(row, name, None)}
        db.add(await query._set_attributes_async(db, row, data))
        if not line.new:
            before, after = differences(row)
            labels = {name: view._column_labels.get(name, name) for name in before}
            line.changes = {labels[name]: [plain(before[name]), plain(after[name])] for name in before}
        await db.flush()
        self._meet(line, row)
        return data, row, line.new

    async def _named(self, db: Any, line: Line, given: dict[str, Any]) -> Any:
        """The row that the line names, by its id or else by the first such column; None for a new one."""
        view, key, row = self.view, line.cells.get(self.key, ""), None
        name = next((name for name in self.unique if name in given), "")
        if key:
            with suppress(NotFound):
                row = (await db.execute(view._stmt_by_identifier(key).with_for_update())).scalars().first()
            if row is None:
                raise Invalid("There is no row with this key.", field=self.key)
        elif name:
            same = view._mapper.columns[name] == given[name]
            row = (await db.execute(sa.select(view.model).where(same).with_for_update())).scalars().first()
        if row is not None:
            if not await view.check_can_edit(self.request, row):
                raise Forbidden
            self._meet(line, row)
        return row

    def _meet(self, line: Line, row: Any) -> None:
        if (first := self.met.setdefault(sa.inspect(row).identity, line.number)) != line.number:
            raise Invalid(f"Line {first} is about the same row.")

    def _filled(self, cells: dict[str, str]) -> tuple[Any, dict[str, Any]]:
        """The form with the cells in it, and the value of each cell that has one; raises Invalid."""
        typed = {name: self._typed(name, cell) for name, cell in cells.items() if name != self.key}
        typed = {name: value for name, value in typed.items() if value is not None}
        texts = {name: f"{each:%F %T}" if isinstance(each, datetime) else str(each) for name, each in typed.items()}
        form = self.form(MultiDict({name: text for name, text in texts.items() if typed[name] is not False}))
        form.validate()
        self._refuse({name: each for name, each in form.errors.items() if name in cells})
        given = {name: each if isinstance(each, date | time) else form.data[name] for name, each in typed.items()}
        return form, self.view._typed(given)

    def _values(self, form: Any, given: dict[str, Any], row: Any) -> dict[str, Any]:
        """The given values, and the row's or the model's own for the rest; raises Invalid for one that is missing."""
        if row is None:
            self._refuse(form.errors)
        start = self.view.model() if row is None else row
        names = [name for name in form.data if name in self.view._mapper.columns]
        return {name: each for name in names if (each := getattr(start, name, None)) is not None} | given

    def _refuse(self, wrong: dict[str, Any]) -> None:
        if wrong:
            labels = self.view._column_labels
            raise Invalid(" ".join(f"{labels.get(name, name)}: {errors[0]}" for name, errors in wrong.items()))

    def _typed(self, name: str, cell: str) -> Any:
        """A yes or no, a day or a time as such, whichever way it is written; other cells as text, None to leave out."""
        kind = getattr(self.form, name).field_class
        if not cell:
            return cell if issubclass(kind, fields.StringField) else None
        read = next((read for each, read in READ.items() if issubclass(kind, each)), str)
        try:
            value = read(cell)
        except (KeyError, ValueError):
            raise Invalid(f"{self.view._column_labels.get(name, name)}: {cell[:50]!r} cannot be read.") from None
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and not value.tzinfo else value


def _alone(column: Any) -> bool:
    """Whether no value stands twice in the column."""
    rules = [*column.table.constraints, *column.table.indexes]
    unique = [each for each in rules if isinstance(each, sa.UniqueConstraint) or getattr(each, "unique", False)]
    return any([*each.columns] == [column] for each in unique)
