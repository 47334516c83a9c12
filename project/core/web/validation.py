"""Pydantic's findings in people's words; the same code and text in JSON and in forms."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from project.core.errors import FieldError

WORDS = {
    "missing": "This field is required.",
    "string_too_short": "Use at least {min_length} characters.",
    "string_too_long": "Use at most {max_length} characters.",
    "too_short": "Give at least {min_length}.",
    "too_long": "Give at most {max_length}.",
    "int_parsing": "Enter a whole number.",
    "int_from_float": "Enter a whole number.",
    "float_parsing": "Enter a number.",
    "decimal_parsing": "Enter a number.",
    "bool_parsing": "Choose yes or no.",
    "date_from_datetime_parsing": "Enter a date, such as 2026-05-31.",
    "date_parsing": "Enter a date, such as 2026-05-31.",
    "datetime_from_date_parsing": "Enter a date and time, such as 2026-05-31T18:00.",
    "datetime_parsing": "Enter a date and time, such as 2026-05-31T18:00.",
    "uuid_parsing": "This is not a valid id.",
    "greater_than": "Enter more than {gt}.",
    "greater_than_equal": "Enter {ge} or more.",
    "less_than": "Enter less than {lt}.",
    "less_than_equal": "Enter {le} or less.",
    "enum": "Choose one of: {expected}.",
    "literal_error": "Choose one of: {expected}.",
    "url_parsing": "Enter a full address, such as https://example.com/page.",
    "json_invalid": "The body is not valid JSON.",
    "extra_forbidden": "There is no such field.",
    "string_pattern_mismatch": "This is not in the form that is asked for.",
    "string_unicode": "The text has characters that cannot be stored.",
}
SOURCES = {"body", "query", "path", "header", "cookie"}


def field_errors(details: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """One FieldError for each of Pydantic's error details."""
    return [FieldError(_field(detail["loc"]), detail["type"], _words(detail)) for detail in details]


def of_body(error: ValidationError) -> list[dict[str, Any]]:
    """A schema's own findings, located as FastAPI locates those of a body: a field may be called `body` itself."""
    return [{**detail, "loc": ("body", *detail["loc"])} for detail in error.errors(include_url=False)]


def _field(loc: Sequence[Any]) -> str:
    return ".".join(map(str, loc[1:] if loc and loc[0] in SOURCES else loc))


def _words(detail: Mapping[str, Any]) -> str:
    kind = str(detail["type"])
    if kind in ("too_short", "too_long") and (detail.get("ctx") or {}).get("field_type") == "Value":
        kind = f"string_{kind}"  # a SecretStr is measured like a list, but has characters
    if kind == "string_too_short" and (detail.get("ctx") or {}).get("min_length") == 1:
        kind = "missing"
    words = WORDS.get(kind)
    if words is None:
        message = str(detail["msg"]).removeprefix("Value error, ").removeprefix("value is not a valid email address: ")
        message = message.replace("email address", "e-mail address")
        return message[:1].upper() + message[1:] + ("" if message.endswith((".", "?", "!")) else ".")
    try:
        return words.format_map(dict(detail.get("ctx") or {}))
    except KeyError:
        return str(detail["msg"])
