"""The fields of the admin's forms: a long text keeps its lines, choices go by what is stored, rows by their words."""

from typing import Any

from sqladmin.ajax import QueryAjaxModelLoader
from sqladmin.forms import ModelConverter, converts
from sqladmin.helpers import get_object_identifier
from sqlalchemy import Enum, Select, String, cast, or_, select
from sqlmodel.sql.sqltypes import AutoString
from starlette.requests import Request

from project.core.db.models import words
from project.core.db.queries import contains

LINE = 255  # characters that fit a line; what may be longer has several


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

    def _prepare_column(self, prop: Any, form_include_pk: bool, kwargs: dict[str, Any]) -> Any:
        column, relations = prop.columns[0], prop.parent.relationships
        alone = not column.primary_key and not any(column in each.local_columns for each in relations)
        return super()._prepare_column(prop, form_include_pk or alone, kwargs)

    async def _prepare_select_options(self, prop: Any, session_maker: Any) -> list[tuple[str, str]]:
        async with session_maker() as db:
            rows = (await db.scalars(select(prop.mapper.class_))).unique().all()
        return [(str(get_object_identifier(row)), words(row)) for row in rows]


class Lookup(QueryAjaxModelLoader):
    """The search behind an ajax field; %, _ and \\ are ordinary characters."""

    def format(self, model: Any) -> dict[str, Any]:
        """One of the choices, by its words."""
        return {"id": str(get_object_identifier(model)), "text": words(model)} if model else {}

    async def get_list(self, request: Request, term: str) -> list[Any]:
        """The rows that contain the term in one of the fields."""
        found = or_(*(contains(cast(field, String), term) for field in self._cached_fields))
        among = [] if self.where is None else await self._prepare_where_clauses(request, term)
        rows: Select[Any] = select(self.model).where(found, *among).order_by(*self._cached_fields_order_by)
        return list(await self.model_admin._run_query(rows.limit(self.limit)))
