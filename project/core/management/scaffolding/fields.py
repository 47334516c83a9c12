"""`price:decimal:10,2?` → what each part of an app says of a field."""

import keyword
import re
from dataclasses import dataclass
from typing import Any

from project.core.db.models import snake
from project.core.errors import nearest
from project.core.management import CommandError

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
OWN = {"id", "owner_id", "created_at", "updated_at", "metadata", "registry", "query", "sort", "q", "limit", "offset"}
OWN |= {
    "page",
    "filters",
    "narrow",
    "found",
    "title_",
    "model_config",
    "model_fields",
    "copy",
    "json",
    "dict",
    "schema",
}
SHAPE = "Write a field as name:type, such as title:str, due:date? (may be empty) or price:decimal:10,2."


@dataclass(frozen=True)
class Kind:
    """A type of field: how it is written in Python, what its column and its schema say, an example as JSON."""

    python: str
    column: str = ""
    schema: str = ""
    example: Any = None
    typed: str = ""
    sorts: bool = True
    number: bool = False


KINDS = {
    "str": Kind("str", "max_length=200", "min_length=1, max_length=200", "Hello", "Hello"),
    "text": Kind(
        *("str", "", 'min_length=1, max_length=20_000, json_schema_extra={"widget": "textarea"}'),
        *("Words.", "Words.", False),
    ),
    "int": Kind("int", "", "ge=-2_147_483_648, le=2_147_483_647", 7, "7", number=True),
    "float": Kind("float", "", "ge=-1e15, le=1e15", 1.5, "1.5", number=True),
    "bool": Kind("bool", "", "", True, "", False),
    "date": Kind("date", "", "", "2031-02-03", "2031-02-03"),
    "datetime": Kind("AwareDatetime", "", "", "2031-02-03T04:05:00Z", "2031-02-03T04:05"),
    "time": Kind("time", "", "", "04:05:00", "04:05"),
    "decimal": Kind("Decimal", number=True),
    "uuid": Kind("UUID", "", "", "0197a0b0-0000-7000-8000-000000000000", "0197a0b0-0000-7000-8000-000000000000", False),
    "email": Kind("Email", "max_length=254", "", "eve@example.com", "eve@example.com"),
    "url": Kind("Url", "max_length=2083", "", "https://example.com/page", "https://example.com/page", False),
    "enum": Kind("", "", "", None, ""),
    "ref": Kind("UUID", "", "", None, "", False),
}
WORDY = ("str", "text", "email", "url")


@dataclass(frozen=True)
class Field:
    """One field of a model, as it was asked for; `args` is what follows its type."""

    name: str
    kind: str
    optional: bool = False
    args: tuple[str, ...] = ()

    @property
    def type(self) -> Kind:
        """Its kind, with what its arguments say."""
        if self.kind == "decimal":
            digits, places = map(int, self.args)
            limits = f"max_digits={digits}, decimal_places={places}"
            example = f"{0 if digits == places else 1}" + (f".{'1' * places}" if places else "")
            return Kind("Decimal", limits, limits, example, example, number=True)
        if self.kind == "enum":
            return Kind(self.enum, "", "", self.args[-1], self.args[-1])
        return KINDS[self.kind]

    @property
    def column(self) -> str:
        """The name of its column and of its field in JSON."""
        return f"{self.name}_id" if self.kind == "ref" else self.name

    @property
    def enum(self) -> str:
        """The class of its choices."""
        return "".join(part.capitalize() for part in self.name.split("_"))

    @property
    def words(self) -> str:
        """`due_on` → `due on`."""
        return self.name.replace("_", " ")

    @property
    def label(self) -> str:
        """What people read beside it."""
        return self.words.capitalize()

    @property
    def wordy(self) -> bool:
        """Whether it holds words that a search looks through."""
        return self.kind in WORDY

    @property
    def prose(self) -> bool:
        """Whether people may write what they like in it, so that a row can be known by it."""
        return self.kind in ("str", "text")

    @property
    def referred(self) -> str:
        """The model that it refers to."""
        return self.args[0].partition(".")[2]

    @property
    def filtered(self) -> bool:
        """Whether lists are narrowed by it."""
        return self.kind in ("bool", "enum", "ref")

    def declared(self, in_schema: bool) -> str:
        """The line that declares it in the model, or in the schema of what comes in."""
        kind = self.type
        python = (
            "str"
            if not in_schema and self.wordy
            else "datetime"
            if not in_schema and self.kind == "datetime"
            else kind.python
        )
        default = "None" if self.optional else "False" if self.kind == "bool" else ""
        if self.kind == "enum" and not self.optional:
            default = f"{self.enum}.{member(self.args[0])}"
        given = ["default=" + default] if default else []
        given += [f'title="{self.label}"', kind.schema] if in_schema else [kind.column]
        if self.kind == "ref":
            given += ['json_schema_extra={"widget": "select"}'] if in_schema else [self._reference()]
        said = ", ".join(filter(None, given))
        value = default if said == f"default={default}" else f"Field({said})" if said else ""
        return f"    {self.column}: {python}{' | None' * self.optional}" + (f" = {value}" if value else "")

    def _reference(self) -> str:
        app, _, model = self.args[0].partition(".")
        gone = "SET NULL" if self.optional else "CASCADE"
        return f'foreign_key="{app}_{snake(model)}.id", ondelete="{gone}", index=True'


def member(value: str) -> str:
    """The name of a choice in its enum."""
    return value.upper()


def read_field(word: str) -> Field:
    """A field as it is typed; raises CommandError with advice."""
    name, _, rest = word.removesuffix("?").partition(":")
    kind, _, told = rest.partition(":")
    kind, optional = kind.removesuffix("?"), word.endswith("?") or kind.endswith("?")
    if not NAME.fullmatch(name) or not kind or len(name) > 40:
        raise CommandError(f"{word!r} is no field. {SHAPE}", 2)
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or name in OWN:
        whose = "a word of Python" if keyword.iskeyword(name) else "taken by the framework"
        raise CommandError(f"A field cannot be called {name!r}, which is {whose}: try {name}_of or {name}_text.", 2)
    if kind not in KINDS:
        raise CommandError(f"There is no type {kind!r}.{nearest(kind, list(KINDS))} Types are {', '.join(KINDS)}.", 2)
    return Field(name, kind, optional, _arguments(word, kind, told, optional))


def _arguments(word: str, kind: str, told: str, optional: bool) -> tuple[str, ...]:
    args = tuple(filter(None, told.split(",")))
    if kind == "enum" and not (
        len(set(args)) == len(args) > 1 and all(NAME.fullmatch(each) and not keyword.iskeyword(each) for each in args)
    ):
        raise CommandError(f"{word!r} needs two choices or more, in small letters: state:enum:draft,live", 2)
    if kind == "decimal":
        numbers = [int(each) for each in args if each.isascii() and each.isdigit()]
        if len(numbers) != 2 or len(args) != 2 or not 0 < numbers[0] <= 15 or not numbers[1] <= numbers[0]:
            raise CommandError(
                f"{word!r} needs its digits, at most 15, and those behind the point: price:decimal:10,2", 2
            )
    if kind == "ref" and not re.fullmatch(r"[a-z]\w*\.[A-Z]\w*", told):
        raise CommandError(f"{word!r} needs the model it refers to: author:ref:accounts.User", 2)
    if kind == "bool" and optional:
        raise CommandError(f"{word!r}: a bool is yes or no, and never empty. For three choices take an enum.", 2)
    if args and kind not in ("enum", "decimal", "ref"):
        raise CommandError(f"{word!r}: a {kind} takes nothing more. {SHAPE}", 2)
    return args
