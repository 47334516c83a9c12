"""What the admin's forms add to SQLAdmin's: lone foreign keys, literal look-ups, refusals as one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError
from sqladmin.ajax import QueryAjaxModelLoader
from sqladmin.forms import ModelConverter
from sqlalchemy import Select, String, cast, or_, select
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import ColumnProperty
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.queries import contains
from project.core.log import get_logger
from project.core.web.problems import Refusal, refusal_of
from project.core.web.validation import field_errors

log = get_logger(__name__)
ON_THE_FORM = {400, 403, 409, 412, 422, 429}


class Converter(ModelConverter):
    """Gives a foreign key without a relationship a field of its own; it could not be set otherwise."""

    def _prepare_column(
        self, prop: ColumnProperty[Any], form_include_pk: bool, kwargs: dict[str, Any]
    ) -> dict[str, Any] | None:
        column = prop.columns[0]
        covered = any(column in relation.local_columns for relation in prop.parent.relationships)
        alone = bool(getattr(column, "foreign_keys", None)) and not column.primary_key and not covered
        return super()._prepare_column(prop, form_include_pk or alone, kwargs)


class Lookup(QueryAjaxModelLoader):
    """The search behind an ajax field; %, _ and \\ are ordinary characters."""

    async def get_list(self, request: Request, term: str) -> list[Any]:
        """The rows that contain the term in one of the fields."""
        statement: Select[Any] = select(self.model).where(
            or_(*(contains(cast(field, String), term) for field in self._cached_fields))
        )
        if self.where is not None:
            statement = statement.where(*await self._prepare_where_clauses(request, term))
        statement = statement.order_by(*self._cached_fields_order_by).limit(self.limit)
        found: list[Any] = await self.model_admin._run_query(statement)
        return found


class Refused(Exception):
    """A refusal on its way to SQLAdmin's form, which shows the text of whatever is raised."""


@contextmanager
def telling(request: Request, labels: dict[str, str]) -> Iterator[None]:
    """Turn what a save raises into a sentence for the form, and keep the error for `told`."""
    try:
        yield
    except Exception as error:
        refusal = _refusal(error)
        request.state.admin_error = (error, refusal)
        words = [
            f"{labels[each.field]}: {each.message}" if each.field in labels else each.message for each in refusal.errors
        ]
        raise Refused(" ".join(words) or str(refusal.detail)) from error


def told(request: Request, response: Response) -> Response:
    """The form with the refusal's status; raises what is not the form's to tell: a bug, an outage, a lost row."""
    kept: tuple[Exception, Refusal] | None = getattr(request.state, "admin_error", None)
    if kept and kept[1].status not in ON_THE_FORM:
        raise kept[0]
    if response.status_code == 400:
        response.status_code = kept[1].status if kept else 422
    return response


def _refusal(error: Exception) -> Refusal:
    if isinstance(error, ValidationError):
        return Refusal(422, "invalid", "Some of the data is not valid.", field_errors(error.errors()))
    if is_bad_value(error):
        log.info("admin form refused", error=type(error).__name__)
        return Refusal(422, "invalid", "Some of the data cannot be stored as it is.")
    return refusal_of(error)


def is_bad_value(error: Exception) -> bool:
    """True when a value does not fit its column: found by Python, by SQLAlchemy, or by the database."""
    if isinstance(error, DBAPIError):
        return refusal_of(error).status == 422
    return isinstance(error, ValueError | ArithmeticError | StatementError)
