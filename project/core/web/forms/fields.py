"""What a schema's fields look like: kind, label, limits and choices, read from its JSON schema."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr

from project.core.errors import FieldError

FORMATS = {
    "email": "email",
    "password": "password",
    "uri": "url",
    "date": "date",
    "date-time": "datetime-local",
    "time": "time",
}
TYPES = {"boolean": "checkbox", "integer": "number", "number": "number"}
RULES = {
    "minLength": "minlength",
    "maxLength": "maxlength",
    "minimum": "min",
    "maximum": "max",
    "pattern": "pattern",
    "autocomplete": "autocomplete",
    "placeholder": "placeholder",
    "rows": "rows",
    "accept": "accept",
}
RowVersion = Annotated[int, Field(ge=1, json_schema_extra={"widget": "hidden"}, description="The row's `version`.")]
UUID_PATTERN = "[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
NO, OFF = "", {"", "false", "off", "0"}
FILES = 10


@dataclass
class FormField:
    """One field as a template draws it.

    `value` is text, a bool for a checkbox, a list of texts for checkboxes.
    """

    name: str
    id: str
    label: str
    hint: str
    kind: str
    value: Any
    required: bool
    attrs: dict[str, str]
    choices: list[tuple[str, str]] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)

    @property
    def optional(self) -> bool:
        """Whether it may be left empty; a choice that has a default always says something."""
        chosen = self.kind in ("select", "radio") and NO not in [value for value, _ in self.choices]
        return not self.required and not chosen and self.kind not in ("checkbox", "checkboxes", "hidden")

    @property
    def notes_id(self) -> str:
        """The id of the element that holds the field's errors and its hint."""
        return f"{self.id}-notes"


@dataclass(frozen=True)
class Spec:
    """What a schema says of one field; `rules` is its JSON schema with references followed."""

    name: str
    kind: str
    rules: dict[str, Any]
    required: bool
    nullable: bool
    many: bool

    def field(self, form_id: str, value: Any) -> FormField:
        """The field with a value, as it stands in the form of that id."""
        attrs = {html: str(self.rules[rule]) for rule, html in RULES.items() if rule in self.rules}
        if self.rules.get("type") == "number":
            attrs["step"] = "any"
        if self.rules.get("format") == "uuid":
            attrs["pattern"] = UUID_PATTERN
        if self.kind == "file" and self.many:
            attrs |= {"multiple": "multiple"}
        shown = _shown(self.kind, self.rules.get("default") if value is None else value)
        return FormField(
            name=self.name,
            id=f"{form_id}-{self.name}",
            label=str(self.rules.get("title") or _words(self.name)),
            hint=" ".join(filter(None, (self.rules.get("description"), self.rules.get("limits")))),
            kind=self.kind,
            value=shown,
            required=self.required and self.kind not in ("checkbox", "checkboxes"),
            attrs=attrs,
            choices=self._choices(shown),
        )

    @property
    def max_files(self) -> int:
        """How many files this field may bring: `max_length` of a list, or FILES."""
        return 0 if self.kind != "file" else int(self.rules.get("maxItems", FILES)) if self.many else 1

    @property
    def max_size(self) -> int | None:
        """The cap of one file of this field in bytes, where its schema names one."""
        size = self.rules.get("maxSize") or self.rules.get("items", {}).get("maxSize")
        return None if size is None else int(size)

    def _choices(self, shown: Any) -> list[tuple[str, str]]:
        source = self.rules.get("items", {}) if self.kind == "checkboxes" else self.rules
        choices = [(str(value), _words(str(value))) for value in source.get("enum", ())]
        if choices and self.kind == "select" and (self.nullable or shown == NO):
            return [(NO, "Choose…" if self.required else "None"), *choices]
        if choices and self.kind == "radio" and self.nullable:
            return [*choices, (NO, "None")]
        return choices


@cache
def specs_of(schema: type[BaseModel]) -> dict[str, Spec]:
    """{name: Spec} of the fields that a form of this schema has."""
    document = schema.model_json_schema()
    required = set(document.get("required", ()))
    found = {}
    for name, declared in document.get("properties", {}).items():
        rules = _resolve(declared, document)
        if rules.get("readOnly"):
            continue
        if "items" in rules:
            rules["items"] = _resolve(rules["items"], document)
            rules |= {rule: rules["items"][rule] for rule in ("accept", "limits") if rule in rules["items"]}
        many = rules.get("type") == "array"
        found[name] = Spec(name, _kind(rules), rules, name in required, "anyOf" in declared, many)
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
    return dict(spec)


def _kind(rules: dict[str, Any]) -> str:
    if "widget" in rules:
        return str(rules["widget"])
    items = rules.get("items", {})
    if "contentMediaType" in rules or "contentMediaType" in items:
        return "file"
    if rules.get("type") == "array":
        return "checkboxes" if "enum" in items else "textarea"
    if "enum" in rules:
        return "select"
    return TYPES.get(rules.get("type", ""), FORMATS.get(rules.get("format", ""), "text"))


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _shown(kind: str, value: Any) -> Any:
    if kind == "checkbox":
        return bool(value) and value not in OFF
    if kind == "checkboxes":
        return [str(getattr(each, "value", each)) for each in value or ()]
    if value is None or kind in ("password", "file") or isinstance(value, SecretStr):
        return NO
    if isinstance(value, (list, tuple)):
        return "\n".join(str(line) for line in value)
    if isinstance(value, datetime):
        with suppress(OverflowError):  # the first and the last day there are
            value = value.astimezone(UTC) if value.tzinfo else value
        return value.replace(tzinfo=None).isoformat(timespec="minutes")
    return str(getattr(value, "value", value))
