"""A whole app as it was asked for; a name that cannot be is answered with advice."""

import builtins
import keyword
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

from project.core.apps import RESERVED
from project.core.conf import ROOT
from project.core.db.models import NAMES, metadata, plural, snake
from project.core.errors import nearest
from project.core.management import CommandError
from project.core.management.scaffolding.fields import Field, read_field
from project.core.runtime import Runtime

OWNER, USERS = "accounts.User", "accounts_user"
OF_THE_HOUSE = RESERVED | {"project", "apps", "tests", "core", "templates", "static", "migrations", "mail", "test"}
TAKEN_CLASSES = {"Model", "Timestamped", "Field", "Any", "Page", "Form", "Request", "Response", "Sort", "Wanted"}
TAKEN_CLASSES |= {"Annotated", "Literal", "Slice", "Principal", "Decimal", "Depends", "Path", "Query", "Body", "Filter"}
TAKEN_WORDS = {"db", "user", "data", "wanted", "page", "form", "request", "response", "changes", "url", "ui", "loop"}
TAKEN_WORDS |= {"services", "api", "pages", "router", "status", "client", "sign_in", "added", "part", "number", "me"}


@dataclass(frozen=True)
class Spec:
    """An app with one model."""

    label: str
    model: str
    fields: tuple[Field, ...]
    public: bool = False
    voices: tuple[str, ...] = ("api", "pages")
    plural_given: str = ""

    @property
    def noun(self) -> str:
        """The model in code: `BlogPost` → `blog_post`."""
        return snake(self.model)

    @property
    def plural(self) -> str:
        """The same for several: `blog_posts`."""
        return self.plural_given or plural(self.noun)

    @property
    def title(self) -> str:
        """The app as people read it."""
        return self.label.replace("_", " ").capitalize()

    @property
    def owner(self) -> str:
        """The column that says whose a row is: that of the first field that refers to accounts.User."""
        return next((field.column for field in self.fields if field.args == (OWNER,)), "owner_id")

    @property
    def own_fields(self) -> tuple[Field, ...]:
        """All but the owner."""
        return tuple(field for field in self.fields if field.args != (OWNER,))

    @property
    def refs(self) -> tuple[Field, ...]:
        """The fields that refer to other models."""
        return tuple(field for field in self.own_fields if field.kind == "ref")

    @cached_property
    def named(self) -> Field:
        """The field that people know a row by."""
        wordy = [field for field in self.own_fields if field.prose]
        known = [field for name in NAMES for field in wordy if field.name == name]
        return [*known, *(field for field in wordy if field.kind != "text"), *wordy][0]


def read_spec(runtime: Runtime, label: str, model: str, words: Sequence[str], **options: Any) -> Spec:
    """The app as it is typed; raises CommandError with advice."""
    _check_label(runtime, label)
    fields = tuple(read_field(word) for word in words)
    if not [field for field in fields if field.args != (OWNER,)]:
        fields += (Field("title", "str"),)
    spec = Spec(label, model or _singular(label), fields, **options)
    _check_model(spec)
    _check_fields(spec)
    return replace(spec, fields=tuple(_resolved(runtime, field) for field in spec.fields))


def _resolved(runtime: Runtime, field: Field) -> Field:
    """A field that refers to a model, with the column that says whose a row of it is."""
    if field.kind != "ref" or field.args == (OWNER,):
        return field
    label, _, name = field.args[0].partition(".")
    apps = {app.label: app for app in runtime.registry.apps}
    if label not in apps:
        raise CommandError(f"There is no app {label!r} to refer to.{nearest(label, list(apps))}", 2)
    models = {model.__name__: model for model in apps[label].models}
    if name not in models:
        raise CommandError(f"The app {label} has no model {name!r}.{nearest(name, list(models))}", 2)
    if getattr(import_module(f"apps.{label}"), name, None) is not models[name]:
        raise CommandError(f"apps/{label}/__init__.py does not export {name}: name it there first, in __all__, too.", 2)
    if not field.optional:
        raise CommandError(f"Write {field.name}:ref:{field.args[0]}? since what is referred to may be deleted.", 2)
    columns = models[name].__table__.columns
    owner = next((each.name for each in columns for key in each.foreign_keys if key.column.table.name == USERS), "")
    return replace(field, args=(field.args[0], owner))


def _singular(label: str) -> str:
    """A model's name for an app that came without one: `notes` → `Note`."""
    one = re.sub("ies$", "y", label) if label.endswith("ies") else re.sub("(?<!s)s$", "", label)
    return "".join(part.capitalize() for part in one.split("_"))


def _check_label(runtime: Runtime, label: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", label) or len(label) > 30:
        raise CommandError(f"{label!r} cannot name an app: use small letters and digits, such as blog or blog2.", 2)
    if keyword.iskeyword(label) or keyword.issoftkeyword(label):
        raise CommandError(f"An app cannot be called {label!r}, which is a word of Python: try {label}s.", 2)
    if label in OF_THE_HOUSE:
        raise CommandError(f"An app cannot be called {label!r}, which is the framework's own: try my_{label}.", 2)
    if label in sys.stdlib_module_names:
        raise CommandError(f"An app cannot be called {label!r}, like a module of Python: try {label}_app.", 2)
    if label in [app.label for app in runtime.registry.apps]:
        raise CommandError(f"There is an app {label!r} already: choose another label.")
    for folder in ("apps", "templates", "tests"):
        if (ROOT / folder / label).exists():
            raise CommandError(
                f"There is {folder}/{label} already. Choose another label; a further model of an app is written by "
                f"hand, after the first: models.py, schemas.py, services.py, then api.py and pages.py.",
            )


def _check_model(spec: Spec) -> None:
    model, noun = spec.model, spec.noun
    if not re.fullmatch(r"([A-Z][a-z0-9]+)+", model) or len(model) > 30:
        raise CommandError(f"{model!r} cannot name a model: write it like Post or BlogPost.", 2)
    if keyword.iskeyword(noun) or hasattr(builtins, noun) or hasattr(builtins, model):
        raise CommandError(f"A model cannot be called {model!r}, which means something in Python: try {model}Item.", 2)
    if model in TAKEN_CLASSES or noun in TAKEN_WORDS or spec.plural in TAKEN_WORDS:
        raise CommandError(f"A model cannot be called {model!r}, which every app uses itself: try My{model}.", 2)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", spec.plural) or spec.plural == noun or hasattr(builtins, spec.plural):
        raise CommandError(f"The plural of {model} cannot be {spec.plural!r}: give another with --plural.", 2)
    if f"{spec.label}_{noun}" in metadata.tables:
        raise CommandError(f"There is a table {spec.label}_{noun} already: choose another name.", 2)


def _check_fields(spec: Spec) -> None:
    columns = [field.column for field in spec.fields]
    for name in columns:
        if columns.count(name) > 1:
            raise CommandError(f"Two fields are called {name!r}: rename one.", 2)
        if name in (spec.noun, spec.plural, f"{spec.noun}_id"):
            raise CommandError(f"A field cannot be called {name!r} like its model: rename it.", 2)
    if sum(field.args == (OWNER,) for field in spec.fields) > 1:
        raise CommandError(
            f"Only one field may refer to {OWNER}: it says whose a row is, and is set to whoever adds it, since nobody "
            "may choose other people's accounts. Add the second by hand, and decide who may choose whom.",
            2,
        )
    if any(field.optional for field in spec.fields if field.args == (OWNER,)):
        raise CommandError("Whose a row is cannot be left empty: write it without the question mark.", 2)
    if not any(field.prose for field in spec.own_fields):
        raise CommandError("Give it a field of words to know its rows by, and to search: title:str, for example.", 2)
    for field in spec.own_fields:
        if field.kind == "enum" and field.enum in {spec.model, *TAKEN_CLASSES}:
            raise CommandError(
                f"The choices of {field.name!r} would be a class {field.enum}, which is taken: rename it.", 2
            )
