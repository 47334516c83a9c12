"""Nobody overwrites unseen what somebody else has saved: a form says what it showed, and the row is held against it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqladmin.helpers import get_object_identifier
from starlette.datastructures import FormData
from starlette.requests import Request

from project.core.admin.audit import plain
from project.core.errors import Stale


def _mark(value: Any) -> str:
    """A few letters that change with the value, whether it comes from a row or from a form."""
    if isinstance(value, list | tuple | set):
        value = sorted(map(_key, value))
    text = json.dumps(plain(_key(value)) or "", sort_keys=True).replace(r"\r\n", r"\n")
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _key(value: Any) -> Any:
    """A row's identifier, which is what a form sends of it; other values as they are."""
    is_row = sa.inspect(value, raiseerr=False) is not None and not isinstance(value, type)
    return str(get_object_identifier(value)) if is_row else value


def marks(values: Mapping[str, Any]) -> str:
    """What was shown, in a hidden field's words: `name=mark`, with spaces between."""
    return " ".join(f"{name}={_mark(value)}" for name, value in values.items())


def settled(
    request: Request, row: Any, data: dict[str, Any], form: FormData, labels: Mapping[str, str]
) -> dict[str, Any]:
    """What is to be saved: the form's values, or the row's where the person chose to keep them.

    Raises Stale, and leaves the differences on the request, when the row is not what the form has shown.
    """
    seen = dict(each.split("=", 1) for each in str(form.get("_seen", "")).split() if "=" in each)
    now = {name: getattr(row, name) for name in seen.keys() & data.keys() if hasattr(row, name)}
    kept = set(form.getlist("_theirs")) & now.keys()
    changed = [name for name in data if name in now and _mark(now[name]) != seen[name]]
    if changed:
        request.state.seen = marks(now)
        request.state.differences = [
            (name, labels.get(name, name), plain(now[name]), plain(data[name]), _mark(data[name]) == seen[name])
            for name in changed
        ]
        raise Stale("Somebody else has saved this meanwhile. See below what differs, and choose.")
    related = sa.inspect(row).mapper.relationships.keys()
    return {name: now[name] if name in kept else each for name, each in data.items() if name not in kept & {*related}}
