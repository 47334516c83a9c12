"""What the apps tell the walks through the whole site, each in its `tests/<label>/walks.py`; all of it may be left out.

PUBLIC      addresses that answer strangers: {"GET /blog/posts"}
ROWS        for the name of an id in an address: adds a row that belongs to somebody, and returns that id
BODIES      for an address: a body that it takes, where a foreign row is asked for
EXAMPLE     what its API takes, field by field; EXAMPLES for addresses where it has to be another one
settle      adds what somebody finds who visits every page: their own rows, and some of another one's
FORMS       forms that must be found then: {"/blog/posts/new Save"}

An app that has no such file is not walked through: `manage.py routes anyone` lists what strangers may call there.
"""

from collections import ChainMap
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any
from uuid import UUID

from apps.accounts import User
from project.core.db.session import AsyncSession
from project.settings import Settings

Add = Callable[[AsyncSession, User], Awaitable[UUID]]
Settle = Callable[[AsyncSession, User, User], Awaitable[None]]
ALWAYS = ["project", "apps.accounts"]


def _told() -> dict[str, ModuleType]:
    installed = [name for name in Settings.model_fields["INSTALLED_APPS"].default if name.startswith("apps.")]
    labels = [name.rpartition(".")[2] for name in installed]
    telling = [label for label in labels if find_spec(f"tests.{label}") and find_spec(f"tests.{label}.walks")]
    return {label: import_module(f"tests.{label}.walks") for label in telling}


TOLD = _told()
WALKED = [*ALWAYS, *(f"apps.{label}" for label in TOLD)]
PUBLIC: set[str] = set().union(*(getattr(module, "PUBLIC", ()) for module in TOLD.values()))
ROWS: dict[str, Add] = dict(ChainMap(*(getattr(module, "ROWS", {}) for module in TOLD.values())))
BODIES: dict[str, Any] = dict(ChainMap(*(getattr(module, "BODIES", {}) for module in TOLD.values())))

FORMS: set[str] = set().union(*(getattr(module, "FORMS", ()) for module in TOLD.values()))
SETTLED: list[Settle] = [module.settle for module in TOLD.values() if hasattr(module, "settle")]


def example_of(path: str) -> dict[str, Any]:
    """What an address of an app takes, field by field."""
    label = path.removeprefix("/api/v1").split("/")[1]
    module = TOLD.get(label)
    return {**getattr(module, "EXAMPLE", {}), **getattr(module, "EXAMPLES", {}).get(path, {})}
