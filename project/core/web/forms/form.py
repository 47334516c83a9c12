"""A schema with values and errors, ready to be drawn."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from project.core.errors import FieldError
from project.core.web.forms.fields import NO, FormField, specs_of

ONCE = "_once"  # the hidden field with the form's one-shot token


class Form:
    """What `ui.form` draws; titles become labels, descriptions hints, limits attributes.

    `stale` is true when what it shows has been changed by somebody else meanwhile.

    Args:
        schema: the Pydantic class.
        values: a mapping or an object whose attributes fill the fields. Passwords are never filled.
        errors: broken rules; those that name no field of the form stand above it.
        action: where the form posts to; empty means this page.
        once: give the form a token, so that sending it twice has one effect.
        live: check each field when it has been filled in, by the same schema.
        choices: {field: {value: words}} of selects whose choices no schema knows.
    """

    def __init__(
        self,
        schema: type[BaseModel],
        values: Any = None,
        errors: Sequence[FieldError] = (),
        *,
        action: str = "",
        once: bool = True,
        live: bool = True,
        choices: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.schema, self.action, self.live, self.stale = schema, action, live, False
        self.id = schema.__name__.lower()
        self.once = secrets.token_urlsafe(16) if once else ""
        self.fields = [spec.field(self.id, _value(values, name)) for name, spec in specs_of(schema).items()]
        self.offer(choices or {})
        self.errors: list[FieldError] = []
        for error in errors:
            found = self._find(error.field)
            (found.errors if found and found.kind != "hidden" else self.errors).append(error)

    @property
    def invalid(self) -> bool:
        """True when there is any error to show."""
        return bool(self.errors) or any(each.errors for each in self.fields)

    @property
    def multipart(self) -> bool:
        """True when the form has a file to send."""
        return any(each.kind == "file" for each in self.fields)

    def offer(self, choices: Mapping[str, Mapping[str, str]]) -> None:
        """Give the selects of these fields their choices."""
        for name, words in choices.items():
            self[name].choices = [(NO, "None"), *words.items()]

    def _find(self, name: str) -> FormField | None:
        top = name.partition(".")[0]
        return next((each for each in self.fields if each.name == top), None)

    def __getitem__(self, name: str) -> FormField:
        found = self._find(name)
        if found is None:
            raise KeyError(f"the form {self.schema.__name__} has no field {name!r}")
        return found


def _value(values: Any, name: str) -> Any:
    if isinstance(values, Mapping):
        return values.get(name)
    return getattr(values, name, None)
