"""ModelAdmin: SQLAdmin's ModelView with the manners of this house."""

import csv
import io
import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from sqladmin import ModelView
from sqladmin._types import MODEL_ATTR
from sqladmin.formatters import BASE_FORMATTERS
from sqladmin.helpers import secure_filename
from sqladmin.pagination import Pagination
from sqlalchemy import Select, String, cast, false, or_
from starlette.requests import Request
from starlette.responses import StreamingResponse

from project.core.admin.door import visit
from project.core.admin.forms import Converter, Lookup, is_bad_value, telling
from project.core.db.queries import contains
from project.core.errors import BadRequest, NotFound

Names = list[str]
SECRET = re.compile(r"password|passwd|token|secret|hash", re.I)
KEPT_BY_THEMSELVES = {"created_at", "updated_at"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _readable(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value.tzinfo else f"{value:%Y-%m-%d %H:%M:%S}"


class ModelAdmin(ModelView):
    """The base of every admin view: `class PostAdmin(ModelAdmin, model=Post): column_list = [Post.title]`.

    Everything SQLAdmin's ModelView offers, and: columns with a secret's name are never shown; refusals are one
    sentence; a bad id is a 404; search takes its words literally; exports are bounded and hold no formulas.
    In `on_model_change` and `on_model_delete` raise a refusal, such as `Invalid("…", field="title")`;
    `async_object_session(model)` is the session to ask, since SQLite has one writer.

    Attributes:
        schema: a Pydantic model that checks and cleans what the form sends; its fields are the form's.
        superuser_fields: columns that only superusers find in the form.
        hidden: the names of columns that are never shown.
    """

    schema: ClassVar[type[BaseModel] | None] = None
    superuser_fields: ClassVar[Sequence[Any]] = ()
    hidden: ClassVar[re.Pattern[str]] = SECRET

    # SQLModel types a column as its value, so SQLAdmin's own annotations would refuse `[Post.title]`.
    column_list: ClassVar[str | Sequence[Any]] = []
    column_exclude_list: ClassVar[Sequence[Any]] = []
    column_details_list: ClassVar[str | Sequence[Any]] = []
    column_details_exclude_list: ClassVar[Sequence[Any]] = []
    column_searchable_list: ClassVar[Sequence[Any]] = []
    column_sortable_list: ClassVar[Sequence[Any]] = []
    column_default_sort: ClassVar[Any] = []
    column_export_list: ClassVar[list[Any]] = []
    column_labels: ClassVar[dict[Any, str]] = {}
    column_formatters: ClassVar[dict[Any, Any]] = {}
    form_columns: ClassVar[Sequence[Any]] = []
    form_excluded_columns: ClassVar[Sequence[Any]] = []

    page_size = 25
    export_max_rows = 10_000
    form_converter = Converter
    column_type_formatters = {**BASE_FORMATTERS, datetime: _readable}
    column_type_formatters_detail = column_type_formatters

    def __init__(self) -> None:
        super().__init__()
        words = {name: name.replace("_", " ").capitalize() for name in self._prop_names}
        self._column_labels = words | self._column_labels
        self._search_fields = self._shown(self._search_fields)
        self._sort_fields = self._shown(self._sort_fields)
        self._form_ajax_refs = {
            name: Lookup(name, each.model, self, **self.form_ajax_refs[name] | {"fields": self._shown(each.fields)})
            for name, each in self._form_ajax_refs.items()
        }

    def _shown(self, columns: Sequence[MODEL_ATTR]) -> Names:
        names = (self._get_prop_name(column) for column in columns)
        return [name for name in names if not self.hidden.search(name)]

    def _build_column_list(self, defaults: Names, include: Any = None, exclude: Any = None) -> Names:
        return self._shown(super()._build_column_list(defaults, include, exclude))

    def get_form_columns(self) -> Names:
        """The columns of the form; times that are kept by themselves only where they are named."""
        names = super().get_form_columns()
        return names if self.form_columns else [name for name in names if name not in KEPT_BY_THEMSELVES]

    def get_filters(self) -> list[Any]:
        """The filters beside the list; none on a secret."""
        parts = ("column", "foreign_key", "foreign_display_field")
        return [
            each
            for each in super().get_filters()
            if not any(self.hidden.search(self._get_prop_name(getattr(each, part, ""))) for part in parts)
        ]

    async def scaffold_form(self, rules: Names | None = None) -> Any:
        """The form's class, without what this visitor may not set: what is not in the form is not read from it."""
        form: Any = await super().scaffold_form(rules)
        request = visit.get()
        free = request is not None and request.state.principal.is_superuser
        barred = set() if free else set(map(self._get_prop_name, self.superuser_fields))
        fields = [name for name in dir(form) if hasattr(getattr(form, name), "_formfield")]
        if self.form is None:
            barred |= {name for name in fields if self.hidden.search(name)}
        return type(form)(form.__name__, (form,), dict.fromkeys(barred & set(fields)))

    def search_query(self, stmt: Select[Any], term: str) -> Select[Any]:
        """Rows that contain the term, taken literally."""
        return stmt.where(or_(false(), *(_holding(self.model, path, term) for path in self._search_fields)))

    def sort_query(self, stmt: Select[Any], request: Request) -> Select[Any]:
        """The wanted order, then the key, so that pages neither repeat nor lose a row."""
        return super().sort_query(stmt, request).order_by(*self.pk_columns)

    async def list(self, request: Request) -> Pagination:
        """One page of rows; raises BadRequest for a filter's value that cannot be compared."""
        try:
            return await super().list(request)
        except Exception as error:
            if request.query_params and is_bad_value(error):
                raise BadRequest("The list cannot be searched or filtered like that.") from error
            raise

    def _stmt_by_identifier(self, identifier: str) -> Select[Any]:
        try:
            return super()._stmt_by_identifier(identifier)
        except (ValueError, TypeError, ArithmeticError):
            raise NotFound from None

    async def _get_object_by_pk(self, stmt: Select[Any]) -> Any:
        try:
            found = await super()._get_object_by_pk(stmt)
        except Exception as error:
            if not is_bad_value(error):
                raise
            found = None
        if found is None:
            raise NotFound
        return found

    async def insert_model(self, request: Request, data: dict[str, Any]) -> Any:
        """Add a row; what is refused is told on the form."""
        with telling(request, self._column_labels):
            return await super().insert_model(request, self._checked(data))

    async def update_model(self, request: Request, pk: str, data: dict[str, Any]) -> Any:
        """Change a row; what is refused is told on the form."""
        with telling(request, self._column_labels):
            return await super().update_model(request, pk, self._checked(data))

    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.schema is None:
            return data
        names = data.keys() & self.schema.model_fields.keys()
        valid = self.schema.model_validate({name: data[name] for name in names})
        return data | {name: getattr(valid, name) for name in names}

    async def delete_all(self, request: Request, pks: Sequence[str]) -> None:
        """Delete the rows in one transaction, all or none; raises what `on_model_delete` refuses, and NotFound."""
        gone = []
        async with self.session_maker() as db:
            for pk in pks:
                row = (await db.execute(self._stmt_by_identifier(pk))).scalars().first()
                if row is None:
                    raise NotFound
                await self.on_model_delete(row, request)
                await db.delete(row)
                await db.flush()
                gone.append((pk, row))
            await db.commit()
        for pk, row in gone:
            await self.after_model_delete(row, request)
            await self._emit_audit(request, "delete", pk, None)

    async def export_data(
        self, data: Sequence[Any], export_type: str = "csv", request: Request | None = None
    ) -> StreamingResponse:
        """The rows as a download; a spreadsheet reads no cell of it as a formula."""
        if export_type != "csv":
            return await super().export_data(list(data), export_type, request)
        name = secure_filename(self.get_export_name("csv"))
        return StreamingResponse(
            self._csv(data),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f"attachment;filename={name}"},
        )

    async def _csv(self, rows: Sequence[Any]) -> AsyncIterator[str]:
        names = self._export_prop_names
        yield _line(names)
        for row in rows:
            yield _line([await self.get_prop_value(row, name) for name in names])

    async def get_object_filepath(self, identifier: str, column_name: str) -> Path:
        """The file of a file column. SQLAdmin takes the text of any column for a path under the working folder."""
        column = self._mapper.columns.get(column_name)
        if column is None or getattr(column.type, "storage", None) is None:
            raise NotFound
        return await super().get_object_filepath(identifier, column_name)


def _holding(model: Any, path: str, term: str) -> Any:
    name, _, rest = path.partition(".")
    column = getattr(model, name)
    if not rest:
        return contains(cast(column, String), term)
    inside = _holding(column.mapper.class_, rest, term)
    return column.any(inside) if column.property.uselist else column.has(inside)


def _line(cells: Sequence[Any]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line).writerow(map(_cell, cells))
    return line.getvalue()


def _cell(value: Any) -> str:
    text = "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
