"""ModelAdmin: SQLAdmin's ModelView with the manners of this house."""

import re
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from sqladmin import ModelView
from sqladmin.ajax import QueryAjaxModelLoader
from sqladmin.formatters import BASE_FORMATTERS
from sqladmin.forms import ModelConverter, converts
from sqladmin.pagination import Pagination
from sqlalchemy import Enum, Select, String, cast, false, inspect, or_, select
from sqlmodel.sql.sqltypes import AutoString
from starlette.requests import Request

from project.core.admin.door import bad_value_means, telling, visit
from project.core.db.queries import contains
from project.core.errors import BadRequest, NotFound
from project.core.web.downloads import Download, Format, download

Names = list[str]
SECRET = re.compile(r"password|passwd|token|secret|hash", re.I)
PARTS_OF_A_FILTER = ("column", "foreign_key", "foreign_display_field")
KEPT_BY_THEMSELVES = {"created_at", "updated_at"}
LINE = 255  # characters that fit a line; what may be longer has several


def _readable(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value.tzinfo else f"{value:%Y-%m-%d %H:%M:%S}"


class Converter(ModelConverter):
    """Fields for columns: a long text keeps its lines, an enum its values, a lone foreign key is there."""

    def get_converter(self, prop: Any) -> Any:
        """SQLAlchemy's kind of column decides; a text input would throw the line breaks of a long text away."""
        kind = prop.columns[0].type if hasattr(prop, "columns") else None
        long = isinstance(kind, String | AutoString) and not isinstance(kind, Enum) and (kind.length or LINE + 1) > LINE
        return self._converters["Text"] if long else super().get_converter(prop)

    @converts("Enum")  # type: ignore[untyped-decorator]
    def conv_enum(self, model: type, prop: Any, kwargs: dict[str, Any]) -> Any:
        """A choice by stored value, which is what the form sends back; SQLAdmin goes by the members' names."""
        return super().conv_enum(model, prop, {"coerce": lambda value: str(getattr(value, "value", value))} | kwargs)

    def _prepare_column(self, prop: Any, form_include_pk: bool, kwargs: dict[str, Any]) -> Any:
        column, relations = prop.columns[0], prop.parent.relationships
        alone = not column.primary_key and not any(column in each.local_columns for each in relations)
        return super()._prepare_column(prop, form_include_pk or alone, kwargs)


class Lookup(QueryAjaxModelLoader):
    """The search behind an ajax field; %, _ and \\ are ordinary characters."""

    async def get_list(self, request: Request, term: str) -> list[Any]:
        """The rows that contain the term in one of the fields."""
        found = or_(*(contains(cast(field, String), term) for field in self._cached_fields))
        among = [] if self.where is None else await self._prepare_where_clauses(request, term)
        rows: Select[Any] = select(self.model).where(found, *among).order_by(*self._cached_fields_order_by)
        return list(await self.model_admin._run_query(rows.limit(self.limit)))


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
    column_details_list: ClassVar[str | Sequence[Any]] = []
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

    def _secret(self, column: Any) -> bool:
        return bool(self.hidden.search(self._get_prop_name(column)))

    def _shown(self, columns: Sequence[Any]) -> Names:
        return [self._get_prop_name(column) for column in columns if not self._secret(column)]

    def _build_column_list(self, defaults: Names, include: Any = None, exclude: Any = None) -> Names:
        return self._shown(super()._build_column_list(defaults, include, exclude))

    def get_form_columns(self) -> Names:
        """The columns of the form; times that are kept by themselves only where they are named."""
        names = super().get_form_columns()
        version = getattr(inspect(self.model).version_id_col, "key", None)
        kept = KEPT_BY_THEMSELVES | {version}
        return names if self.form_columns else [name for name in names if name not in kept]

    def get_filters(self) -> list[Any]:
        """The filters beside the list; none on a secret."""

        def shown(each: Any) -> bool:
            return not any(self._secret(getattr(each, part, "")) for part in PARTS_OF_A_FILTER)

        return list(filter(shown, super().get_filters()))

    async def scaffold_form(self, rules: Names | None = None) -> Any:
        """The form's class, without what this visitor may not set: what is not in the form is not read from it."""
        form: Any = await super().scaffold_form(rules)
        request = visit.get()
        free = request is not None and request.state.principal.is_superuser
        barred = set() if free else set(map(self._get_prop_name, self.superuser_fields))
        if self.form is None:
            barred |= set(filter(self._secret, dir(form)))
        fields = {name for name in barred if hasattr(getattr(form, name, None), "_formfield")}
        return type(form)(form.__name__, (form,), dict.fromkeys(fields))

    async def check_can_import(self, request: Request) -> bool:
        """Closed: SQLAdmin's import answers a row that the database refuses with its SQL."""
        return False

    def search_query(self, stmt: Select[Any], term: str) -> Select[Any]:
        """Rows that contain the term, taken literally."""
        return stmt.where(or_(false(), *(_holding(self.model, path, term) for path in self._search_fields)))

    def sort_query(self, stmt: Select[Any], request: Request) -> Select[Any]:
        """The wanted order, then the key, so that pages neither repeat nor lose a row."""
        return super().sort_query(stmt, request).order_by(*self.pk_columns)

    async def list(self, request: Request) -> Pagination:
        """One page of rows; raises BadRequest for a filter's value that cannot be compared."""
        if not request.query_params:
            return await super().list(request)
        with bad_value_means(BadRequest("The list cannot be searched or filtered like that.")):
            return await super().list(request)

    def _stmt_by_identifier(self, identifier: str) -> Select[Any]:
        with bad_value_means(NotFound()):
            return super()._stmt_by_identifier(identifier)

    async def _get_object_by_pk(self, stmt: Select[Any]) -> Any:
        with bad_value_means(NotFound()):
            found = await super()._get_object_by_pk(stmt)
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
                await self.remove(db, row)
                await db.flush()
                gone.append(row)
            await db.commit()
        for row in gone:
            await self.after_model_delete(row, request)

    async def remove(self, db: Any, row: Any) -> None:
        """Take one row away; a view whose rows have to leave a trace does it another way."""
        await db.delete(row)

    async def export_data(self, data: Any, export_type: str = "csv", request: Any = None) -> Download:
        """The rows as a download; a spreadsheet reads no cell of it as a formula."""
        names = self._export_prop_names

        async def rows() -> AsyncGenerator[dict[str, Any], None]:
            for row in data:
                yield {name: await self.get_prop_value(row, name) for name in names}

        kind = Format(export_type)
        return download(self.get_export_name(kind).removesuffix(f".{kind}"), kind, names, rows())

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
