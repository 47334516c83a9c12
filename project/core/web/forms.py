"""Forms from schemas: one Pydantic class reads the JSON body, reads the form and draws its fields."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Depends
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, SecretStr, ValidationError
from starlette.datastructures import FormData
from starlette.requests import Request

from project.core.errors import FieldError

S = TypeVar("S", bound=BaseModel)
KINDS = {
    "email": "email",
    "password": "password",
    "uri": "url",
    "date": "date",
    "date-time": "datetime-local",
}
RULES = {
    "minLength": "minlength",
    "maxLength": "maxlength",
    "minimum": "min",
    "maximum": "max",
    "pattern": "pattern",
    "autocomplete": "autocomplete",
    "placeholder": "placeholder",
    "rows": "rows",
}


@dataclass
class FormField:
    """One field as a template draws it; `value` is text, or a bool for a checkbox."""

    name: str
    id: str
    label: str
    hint: str
    kind: str
    value: Any
    required: bool
    attrs: dict[str, str]
    choices: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def hint_id(self) -> str:
        """The id of the hint's element."""
        return f"{self.id}-hint"

    @property
    def error_id(self) -> str:
        """The id of the errors' element."""
        return f"{self.id}-error"


class Form:
    """A schema with values and errors, ready to be drawn.

    Args:
        schema: the Pydantic class; titles become labels, descriptions hints, limits attributes.
        values: a mapping or an object whose attributes fill the fields. Passwords are never filled.
        errors: broken rules; those that name no field of the form stand above it.
        action: where the form posts to; empty means this page.
    """

    def __init__(
        self,
        schema: type[BaseModel],
        values: Any = None,
        errors: Sequence[FieldError] = (),
        *,
        action: str = "",
    ) -> None:
        self.schema, self.action = schema, action
        self.id = schema.__name__.lower()
        document = schema.model_json_schema()
        required = set(document.get("required", ()))
        self.fields = [
            _field(self.id, name, _resolve(spec, document), name in required, _value(values, name))
            for name, spec in document.get("properties", {}).items()
            if not spec.get("readOnly")
        ]
        self.errors: list[str] = []
        for error in errors:
            found = self._find(error.field)
            (found.errors if found and found.kind != "hidden" else self.errors).append(error.message)

    @property
    def invalid(self) -> bool:
        """True when there is any error to show."""
        return bool(self.errors) or any(each.errors for each in self.fields)

    def _find(self, name: str) -> FormField | None:
        top = name.partition(".")[0]
        return next((each for each in self.fields if each.name == top), None)

    def __getitem__(self, name: str) -> FormField:
        found = self._find(name)
        if found is None:
            raise KeyError(f"the form {self.schema.__name__} has no field {name!r}")
        return found


def _resolve(spec: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The spec with its reference followed and its "or null" taken off."""
    variants = [v for v in spec.get("anyOf", ()) if v.get("type") != "null"]
    if variants:
        spec = {**_resolve(variants[0], document), **{k: v for k, v in spec.items() if k != "anyOf"}}
    if "$ref" in spec:
        target = document["$defs"][spec["$ref"].rpartition("/")[2]]
        target = {k: v for k, v in target.items() if k not in ("title", "description")}  # they speak of the type
        spec = {**target, **{k: v for k, v in spec.items() if k != "$ref"}}
    return spec


def _field(form_id: str, name: str, spec: dict[str, Any], required: bool, value: Any) -> FormField:
    kind = _kind(spec)
    attrs = {html: str(spec[rule]) for rule, html in RULES.items() if rule in spec}
    if spec.get("type") == "number":
        attrs["step"] = "any"
    if value is None:
        value = spec.get("default")
    return FormField(
        name=name,
        id=f"{form_id}-{name}",
        label=str(spec.get("title") or name.replace("_", " ").capitalize()),
        hint=str(spec.get("description", "")),
        kind=kind,
        value=_shown(kind, value),
        required=required and kind != "checkbox",
        attrs=attrs,
        choices=[(str(v), str(v).replace("_", " ").capitalize()) for v in spec.get("enum", ())],
    )


def _kind(spec: dict[str, Any]) -> str:
    if "widget" in spec:
        return str(spec["widget"])
    if "enum" in spec:
        return "select"
    kinds = {"boolean": "checkbox", "integer": "number", "number": "number", "array": "textarea"}
    return kinds.get(spec.get("type", ""), KINDS.get(spec.get("format", ""), "text"))


def _value(values: Any, name: str) -> Any:
    if isinstance(values, Mapping):
        return values.get(name)
    return getattr(values, name, None)


def _shown(kind: str, value: Any) -> Any:
    if kind == "checkbox":
        return bool(value) and value not in ("false", "off", "0")
    if value is None or kind == "password" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, (list, tuple)):
        return "\n".join(str(line) for line in value)
    if kind == "datetime-local" and hasattr(value, "strftime"):
        return value.strftime("%Y-%m-%dT%H:%M")
    return str(getattr(value, "value", value))


class FormReader:
    """The dependency behind `Submitted[X]`: reads the posted form and validates it by X.

    Raises RequestValidationError, with the same field names, codes and words as a JSON body would.
    """

    def __init__(self, schema: type[BaseModel]) -> None:
        self.schema = schema

    async def __call__(self, request: Request) -> BaseModel:
        limit = request.app.state.runtime.settings.MAX_FORM_FIELDS
        async with request.form(max_files=0, max_fields=limit) as posted:
            values = self._values(posted)
        request.state.submitted = (self.schema, values)
        try:
            return self.schema.model_validate(values)
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False)) from None

    def _values(self, posted: FormData) -> dict[str, Any]:
        """Only the schema's own fields; an empty text counts as left out, an unticked box as false."""
        values: dict[str, Any] = {}
        document = self.schema.model_json_schema()
        for name, spec in document.get("properties", {}).items():
            resolved = _resolve(spec, document)
            texts = [_storable(text) for text in posted.getlist(name) if isinstance(text, str)]
            if resolved.get("type") == "boolean":
                values[name] = bool(texts) and texts[-1].lower() not in ("", "false", "off", "0")
            elif resolved.get("type") == "array":
                values[name] = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
            elif texts and texts[-1] != "":
                values[name] = texts[-1]
            elif texts and "anyOf" in spec:
                values[name] = None
        return values


def _storable(text: str) -> str:
    """The text as JSON would bring it: lines end with \\n, whoever sent them (browsers: \\r\\n, htmx: \\n).

    A lone surrogate, which an odd charset can smuggle in, becomes a question mark.
    """
    return text.encode("utf-8", "replace").decode().replace("\r\n", "\n")


if TYPE_CHECKING:
    Submitted = Annotated[S, "submitted"]
else:

    class Submitted:
        """`data: Submitted[PostCreate]`: the posted form, read and validated by that schema."""

        def __class_getitem__(cls, schema: type[BaseModel]) -> Any:
            return Annotated[schema, Depends(FormReader(schema))]


def reads_form(parameter: inspect.Parameter) -> bool:
    """Whether a handler's parameter is a `Submitted[...]`."""
    metadata = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(getattr(each, "dependency", None), FormReader) for each in metadata)
