"""The fields of the admin's forms: a long text keeps its lines, choices go by what is stored, rows by their words."""

from contextlib import suppress
from typing import Any

from markupsafe import Markup
from sqladmin.ajax import QueryAjaxModelLoader
from sqladmin.fields import AjaxSelectField, AjaxSelectMultipleField
from sqladmin.forms import ModelConverter, converts
from sqladmin.helpers import get_object_identifier, get_primary_keys, object_identifier_values
from sqladmin.widgets import AjaxSelect2Widget
from sqlalchemy import Enum, Select, String, cast, func, inspect, literal, or_, select
from sqlmodel.sql.sqltypes import AutoString
from starlette.datastructures import FormData
from starlette.requests import Request
from wtforms.widgets import html_params  # type: ignore[import-untyped]

from project.core.admin.door import bad_value_means
from project.core.db.models import words
from project.core.db.queries import contains
from project.core.errors import Invalid, NotFound

LINE = 255  # characters that fit a line; what may be longer has several
MOST = 100  # rows that a form names in words
SELECT = Markup("<select {}>{}</select>")
OPTION = Markup('<option value="{id}" selected>{text}</option>')
BLANK = Markup('<option value=""></option>')
BY_NAME = Markup(
    '<noscript><label class="form-label mt-2" for="{0}-named">More of them, by {1}, one on each line</label>'
    '<textarea class="form-control" id="{0}-named" name="{0}-named" rows="3"></textarea></noscript>'
)


def members(kind: Any) -> dict[str, Any]:
    """{what is stored: the enum's member}; empty for another kind of column."""
    members = kind.enum_class.__members__.values() if getattr(kind, "enum_class", None) else ()
    return dict(zip(kind.enums, members, strict=True)) if members else {}


class Converter(ModelConverter):
    """Fields for columns: a long text keeps its lines, an enum its values, a lone foreign key is there."""

    def get_converter(self, prop: Any) -> Any:
        """SQLAlchemy's kind of column decides; a text input would throw the line breaks of a long text away."""
        kind = prop.columns[0].type if hasattr(prop, "columns") else None
        long = isinstance(kind, String | AutoString) and not isinstance(kind, Enum) and (kind.length or LINE + 1) > LINE
        return self._converters["Text"] if long else super().get_converter(prop)

    @converts("Enum")  # type: ignore[untyped-decorator]
    def conv_enum(self, model: type, prop: Any, kwargs: dict[str, Any]) -> Any:
        """A choice by what is stored, which is what the form sends back; SQLAdmin goes by the members' names."""
        stored = {member: text for text, member in members(prop.columns[0].type).items()}
        return super().conv_enum(model, prop, {"coerce": lambda value: stored.get(value, str(value))} | kwargs)

    async def convert(self, *args: Any, **options: Any) -> Any:
        """SQLAdmin's field; one that searches has the chosen rows in the page."""
        field = await super().convert(*args, **options)
        if field is not None and issubclass(field.field_class, AjaxSelectField | AjaxSelectMultipleField):
            field.kwargs["widget"] = ChosenRows(multiple=field.field_class is AjaxSelectMultipleField)
        return field

    def _prepare_column(self, prop: Any, form_include_pk: bool, kwargs: dict[str, Any]) -> Any:
        column, relations = prop.columns[0], prop.parent.relationships
        alone = not column.primary_key and not any(column in each.local_columns for each in relations)
        return super()._prepare_column(prop, form_include_pk or alone, kwargs)

    async def _prepare_select_options(self, prop: Any, session_maker: Any) -> list[tuple[str, str]]:
        async with session_maker() as db:
            rows = (await db.scalars(select(prop.mapper.class_))).unique().all()
        return [(str(get_object_identifier(row)), words(row)) for row in rows]


class ChosenRows(AjaxSelect2Widget):
    """What is chosen as options, which SQLAdmin leaves to a script: without one, saving would let go of it all.

    Where there is no script to search with, more rows are chosen by their names.
    """

    async def __call__(self, field: Any, **kwargs: Any) -> Markup:
        """The field as HTML."""
        lookup: Lookup = field.loader
        given = [each for each in (field.data if self.multiple else [field.data]) if each not in (None, "")]
        rows = [each if inspect(each, raiseerr=False) else await lookup.row(each) for each in given]
        options = Markup().join(OPTION.format(**lookup.format(row)) for row in rows if row is not None)
        kwargs |= {"data-role": "select2-ajax", "id": field.id, "name": field.name, "multiple": self.multiple}
        if field.allow_blank and not self.multiple:
            kwargs["data-allow-blank"], options = "1", BLANK + options
        by = " or ".join(each.key for each in lookup._cached_fields)
        return SELECT.format(Markup(html_params(**kwargs)), options) + BY_NAME.format(field.name, by)  # noqa: S704 - it escapes


class Lookup(QueryAjaxModelLoader):
    """The search behind an ajax field; %, _ and \\ are ordinary characters."""

    def format(self, model: Any) -> dict[str, Any]:
        """One of the choices, by its words."""
        return {"id": str(get_object_identifier(model)), "text": words(model)} if model else {}

    async def get_list(self, request: Request, term: str) -> list[Any]:
        """The rows that contain the term in one of the fields."""
        return await self._found(request, term, contains, self.limit)

    async def named(self, request: Request, name: str) -> Any:
        """The one row that has this name in one of the fields; raises Invalid for none, and for several."""
        rows = await self._found(request, name, lambda field, text: func.lower(field) == func.lower(literal(text)), 2)
        if len(rows) != 1:
            raise Invalid(f"{'Several are' if rows else 'Nothing is'} called {name[:100]!r}.", field=self.name)
        return rows[0]

    async def row(self, key: Any) -> Any:
        """The row with the key that a form has sent, or None."""
        with suppress(NotFound), bad_value_means(NotFound()):
            keys = zip(get_primary_keys(self.model), object_identifier_values(str(key), self.model), strict=True)
            found = await self.model_admin._run_query(select(self.model).where(*(pk == value for pk, value in keys)))
            return next(iter(found), None)

    async def _found(self, request: Request, term: str, fits: Any, most: int) -> list[Any]:
        found = or_(*(fits(cast(field, String), term) for field in self._cached_fields))
        among = [] if self.where is None else await self._prepare_where_clauses(request, term)
        rows: Select[Any] = select(self.model).where(found, *among).order_by(*self._cached_fields_order_by)
        return list(await self.model_admin._run_query(rows.limit(most)))


async def with_named(request: Request, form: FormData, lookups: dict[str, Lookup]) -> FormData:
    """The form with the keys of the rows that it names in words; raises Invalid for a name that is not one row's."""
    more = []
    for field, lookup in lookups.items():
        lines = str(form.get(f"{field}-named", "")).splitlines()
        for name in list(filter(None, map(str.strip, lines)))[:MOST]:
            more.append((field, str(get_object_identifier(await lookup.named(request, name)))))
    return FormData([*more, *form.multi_items()])
