"""Writes the history of what staff changes, whichever view, action or statement does it.

An entry is inserted by the flush that makes the change, so neither is there without the other.
"""

import json
import re
from collections.abc import Iterator
from datetime import date, time
from typing import Any

import sqlalchemy as sa
from sqladmin.helpers import get_object_identifier
from sqlalchemy import event
from sqlalchemy.orm import ColumnProperty, ORMExecuteState, Session
from starlette.requests import Request

from project.core.admin.door import visit
from project.core.db.audit import AuditEntry
from project.core.db.models import words
from project.core.db.session import AsyncSession
from project.core.log import MASK, SECRET_NAME, masked, request_id

SECRET = re.compile(rf"{SECRET_NAME.pattern}|hash|private_?key", re.I)  # what logs mask, and more
LONGEST, MOST = 2000, 1000  # characters of a value; rows of one statement
DOING = re.compile(r"/(?:action/([\w-]+)|(import))$")
Values = dict[str, Any]


def plain(value: Any) -> Any:
    """The value as JSON has it: a row by its words, a time as ISO 8601, what is long cut."""
    made = json.loads(json.dumps(value, default=_told))
    return f"{made[:LONGEST]}…" if isinstance(made, str) and len(made) > LONGEST else made


def _told(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return words(value) if sa.inspect(value, raiseerr=False) is not None else str(getattr(value, "value", value))


def _entry(request: Request, action: str, row: Any, before: Values, after: Values) -> Values | None:
    """The entry's columns, or None when nothing differs."""
    who, kind = request.state.principal, type(row)
    view = request.state.admin.view_of(kind)
    hidden = view.hidden if view else SECRET

    def shown(name: str, value: Any) -> Any:
        return MASK if hidden.search(name) and value not in (None, "") else masked(name, plain(value))

    names = [name for name in before | after if before.get(name) != after.get(name)]
    if not names and action == "change":
        return None
    doing = DOING.search(request.url.path)
    return AuditEntry(
        actor_id=who.id,
        actor=who.email,
        action=(doing[1] or doing[2]) if doing else action,
        kind=sa.inspect(kind).local_table.name,
        row_id=str(get_object_identifier(row)),
        words=words(row)[:200],
        changes={name: [shown(name, values.get(name)) for values in (before, after)] for name in names},
        request_id=request_id.get(),
    ).model_dump()


def _write(session: Session, entries: Iterator[Values | None]) -> None:
    if found := list(filter(None, entries)):
        session.connection().execute(sa.insert(AuditEntry), found)


def _columns(row: Any) -> Values:
    """What is loaded of a row's columns."""
    state = sa.inspect(row)
    return {each.key: state.dict.get(each.key) for each in state.mapper.column_attrs}


def differences(row: Any) -> tuple[Values, Values]:
    """The changed columns, and the lists of rows it is linked with, before and after."""
    state = sa.inspect(row)
    before: Values = {}
    after: Values = {}
    for each in state.mapper.attrs:
        linked = getattr(each, "secondary", None) is not None
        history = state.attrs[each.key].history
        if (linked or isinstance(each, ColumnProperty)) and history.has_changes():
            for side, values in ((before, history.deleted), (after, history.added)):
                every = sorted(map(words, [*history.unchanged, *values])) if linked else [*values, None]
                side[each.key] = every if linked else every[0]
    return before, after


@event.listens_for(AsyncSession.sync_session_class, "after_flush")
def _flushed(session: Session, *_: Any) -> None:
    if (request := visit.get()) is not None:
        changes: list[Any] = [("add", each, {}, _columns(each)) for each in session.new]
        changes += [("change", each, *differences(each)) for each in session.dirty]
        changes += [("delete", each, _columns(each), {}) for each in session.deleted]
        _write(session, (_entry(request, *each) for each in changes))


@event.listens_for(AsyncSession.sync_session_class, "do_orm_execute")
def _executed(state: ORMExecuteState) -> Any:
    """An UPDATE or DELETE of many rows: each of them is read before and after."""
    request, mapper = visit.get(), state.bind_mapper
    if request is None or mapper is None or not (state.is_update or state.is_delete):
        return None
    session, action = state.session, "delete" if state.is_delete else "change"
    chosen = state.statement.whereclause  # type: ignore[attr-defined]
    wanted = sa.select(mapper).limit(MOST).execution_options(populate_existing=True)
    # A session of its own, since the one at hand may know these rows by older values.
    with Session(session.connection(), join_transaction_mode="rollback_only") as eyes:
        rows = eyes.scalars(wanted if chosen is None else wanted.where(chosen)).all()
        before = [_columns(row) for row in rows]
        result = state.invoke_statement()
        if state.is_update and rows:
            keys = [mapper.primary_key_from_instance(row) for row in rows]
            eyes.scalars(wanted.where(sa.tuple_(*mapper.primary_key).in_(keys))).all()
        after: list[Values] = [{} if state.is_delete else _columns(row) for row in rows]
        _write(session, (_entry(request, action, *each) for each in zip(rows, before, after, strict=True)))
    return result
