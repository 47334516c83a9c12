"""ModelAdmin: SQLAdmin's ModelView with the manners of this house."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from markupsafe import Markup
from pydantic import BaseModel
from sqladmin import ModelView
from sqladmin._queries import Query
from sqladmin.formatters import BASE_FORMATTERS
from sqladmin.helpers import get_object_identifier
from sqladmin.pagination import Pagination
from sqlalchemy import ColumnElement, Select, false, inspect, or_, select
from sqlalchemy.ext.asyncio import async_object_session
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.interfaces import ORMOption
from starlette.requests import Request

from project.core.admin.audit import SECRET
from project.core.admin.door import bad_value_means, telling, visit
from project.core.admin.fields import Converter, Lookup, members
from project.core.admin.listing import Count, by_keys, counted, holding, how_many, referred
from project.core.admin.saving import marks, settled
from project.core.db.models import plural, words
from project.core.errors import BadRequest, NotFound
from project.core.identity import Principal
from project.core.web.downloads import Download, Format, download

Names = list[str]
PARTS_OF_A_FILTER = ("column", "foreign_key", "foreign_display_field")
KEPT_BY_THEMSELVES = {"created_at", "updated_at"}


def _readable(value: datetime) -> str:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if value.tzinfo else f"{value:%Y-%m-%d %H:%M:%S}"


class ModelAdmin(ModelView):
    """The base of every admin view: `class PostAdmin(ModelAdmin, model=Post): column_list = [Post.title]`.

    Everything SQLAdmin's ModelView offers, and: columns with a secret's name are never shown; refusals are one
    sentence; a bad id is a 404; search takes its words literally; exports are bounded and hold no formulas; rows that
    know when they were added come the latest first.
    In `on_model_change` and `on_model_delete` raise a refusal, such as `Invalid("…", field="title")`; ask
    `self.visitor(request)` who does it, and no other session than `self.session_of(model)`: SQLite has one writer.

    Attributes:
        schema: a Pydantic model that checks and cleans what the form sends; its fields are the form's.
        superuser_fields: columns that only superusers find in the form.
        action_permissions: for an `@action`'s name the last word of the permission it needs; "change" where it is not.
        hidden: the names of columns that are never shown.
    """

    icon = "fa-solid fa-table-list"  # where an app names none
    schema: ClassVar[type[BaseModel] | None] = None
    superuser_fields: ClassVar[Sequence[Any]] = ()
    action_permissions: ClassVar[Mapping[str, str]] = {}
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
    import_max_rows = 1_000
    form_converter = Converter
    column_type_formatters = {**BASE_FORMATTERS, datetime: _readable}

    def __init__(self) -> None:
        super().__init__()
        if self.name_plural == f"{self.name}s":
            type(self).name_plural = plural(self.name)
        if not self.column_default_sort and "created_at" in self._mapper.columns:
            type(self).column_default_sort = [("created_at", True)]
        keys = {name for name, column in self._mapper.columns.items() if column.foreign_keys}
        spoken = {name: name.removesuffix("_id") if name in keys else name for name in self._prop_names}
        labels = {name: each.replace("_", " ").capitalize() for name, each in spoken.items()}
        self._column_labels = labels | self._column_labels
        self._search_fields = self._shown(self._search_fields)
        self._sort_fields = self._shown(self._sort_fields)
        self._form_ajax_refs = {
            name: Lookup(name, each.model, self, **self.form_ajax_refs[name] | {"fields": self._shown(each.fields)})
            for name, each in self._form_ajax_refs.items()
        }

    @staticmethod
    def visitor(request: Request) -> Principal:
        """Who is asking."""
        who: Principal = request.state.principal
        return who

    @staticmethod
    def session_of(row: Any) -> Any:
        """The session of a row that a hook is given: an AsyncSession, or None for a new row."""
        return async_object_session(row)

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
        if request is not None:
            rights: Any = self._authorization_backend()
            barred |= rights.out_of_sight(request, self.identity)
        if self.form is None:
            barred |= set(filter(self._secret, dir(form)))
        fields = {name for name in barred if hasattr(getattr(form, name, None), "_formfield")}
        return type(form)(form.__name__, (form,), dict.fromkeys(fields))

    def search_query(self, stmt: Select[Any], term: str) -> Select[Any]:
        """Rows that contain the term, taken literally."""
        return stmt.where(or_(false(), *(holding(self.model, path, term) for path in self._search_fields)))

    def sort_query(self, stmt: Select[Any], request: Request) -> Select[Any]:
        """The wanted order, then the key, so that pages neither repeat nor lose a row."""
        return super().sort_query(stmt, request).order_by(*self.pk_columns)

    async def list(self, request: Request) -> Pagination:
        """One page of rows; raises BadRequest for a filter's value that cannot be compared."""
        with bad_value_means(BadRequest("The list cannot be searched or filtered like that.")):
            page = await super().list(request)
        known: Count = request.state.count
        seen = (page.page - 1) * page.page_size + len(page.rows)
        if known.about and len(page.rows) < page.page_size and seen:
            known, page.count = Count(seen), seen
        request.state.rows, request.state.count = page.rows, known
        return page

    async def count(self, request: Request, stmt: Select[Any] | None = None) -> int:
        """How many rows there are, as far as anybody counts; where that is not to the end, there is a next page."""
        request.state.listed = found = self.list_query(request) if stmt is None else counted(stmt)
        async with self.session_maker() as db:
            request.state.count = count = await how_many(db, found)
        page = self.validate_page_number(request.query_params.get("page"), 1)
        size = self.validate_page_number(request.query_params.get("pageSize"), self.page_size)
        return max(count.number, (page + 1) * size) if count.about else count.number

    async def get_model_objects(self, request: Request, limit: int | None = 0) -> Any:
        """The rows of an export: those of the list, as it is searched, filtered and sorted."""
        await self.list(request)
        return await self._run_query(request.state.listed.limit(limit or None))

    async def _run_query(self, stmt: Any) -> Any:
        deep = getattr(stmt, "_offset", None)
        return await super()._run_query(by_keys(stmt, self.pk_columns) if deep else stmt)

    async def told(self, request: Request, row: Any, name: str, text: Any) -> Any:
        """The text of a cell; a foreign key is a link to what it means."""
        to = referred(self._mapper, name)
        if to is None or name in self._list_formatters | self._detail_formatters:
            return text
        kind, key = to
        view = request.state.admin.view_of(kind)
        if view and not view.seen_by(request):
            return text
        known = vars(request.state).setdefault("related", {})
        if name not in known:
            wanted = {getattr(each, name) for each in getattr(request.state, "rows", [row])} - {None}
            found = await self._run_query(select(kind).where(getattr(kind, key).in_(wanted)))
            known[name] = {getattr(each, key): each for each in found}
        target = known[name].get(getattr(row, name))
        return text if target is None else self.link(request, target)

    def seen_by(self, request: Request) -> bool:
        """Whether this visitor may see rows here at all."""
        return self.is_accessible(request) and self.has_permission(request, "details")

    def link(self, request: Request, row: Any) -> str:
        """A row by its words, as a link where this visitor may look at it."""
        view = request.state.admin.view_of(type(row))
        if not view or not view.can_view_details or not view.seen_by(request):
            return words(row)
        address = f"{request.scope['root_path']}/{view.identity}/details/{quote(str(get_object_identifier(row)))}"
        return Markup('<a href="{}">{}</a>').format(address, words(row))

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
            return await super().insert_model(request, self._checked(self._typed(data)))

    async def update_model(self, request: Request, pk: str, data: dict[str, Any]) -> Any:
        """Change a row; what is refused is told on the form, also when somebody else saved it meanwhile."""
        query, form, wanted = Query(self), await request.form(), self._stmt_by_identifier(pk)
        with telling(request, self._column_labels):
            async with self.session_maker(expire_on_commit=False) as db:
                wanted = wanted.options(*map(selectinload, self._form_relations)).with_for_update()
                row = (await db.execute(wanted)).scalars().first()
                data = self._checked(settled(request, row, self._typed(data), form, self._column_labels))
                await self.on_model_change(data, row, False, request)
                await query._set_attributes_async(db, row, data)
                await db.commit()
                query._store_after_change_response(request, await self.after_model_change(data, row, False, request))
        return row

    def seen(self, row: Any, form: Any) -> str:
        """What the form of a row shows, for its hidden field: it is saved only while the row is still like that."""
        loose = self._ajax_relation_names
        return marks({each.name: each.data if each.name in loose else getattr(row, each.name, None) for each in form})

    def _typed(self, data: dict[str, Any]) -> dict[str, Any]:
        """The form's values, choices as members of their enums."""
        columns = self._mapper.columns
        known = {name: members(columns[name].type) for name in data if name in columns}
        return {name: known[name].get(each, each) if known.get(name) and each else each for name, each in data.items()}

    def _checked(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.schema is None:
            return data
        names = data.keys() & self.schema.model_fields.keys()
        valid = self.schema.model_validate({name: data[name] for name in names})
        return data | {name: getattr(valid, name) for name in names}

    def called(self, number: int) -> str:
        """The word for so many rows."""
        return self.name if number == 1 else self.name_plural

    async def rows_of(self, db: Any, pks: Sequence[str], *options: ORMOption) -> Sequence[Any]:
        """The rows with these keys, by one query; raises NotFound when one is not there."""
        wanted: Select[Any] = select(self.model).where(self.chosen(pks)).options(*options)
        with bad_value_means(NotFound()):
            rows: Sequence[Any] = (await db.execute(wanted)).scalars().all()
        if len(rows) < len(set(pks)):
            raise NotFound
        return rows

    def chosen(self, pks: Sequence[str]) -> ColumnElement[bool]:
        """That a row has one of these keys."""
        wanted = (self._stmt_by_identifier(pk).whereclause for pk in pks)
        return or_(false(), *(each for each in wanted if each is not None))

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
