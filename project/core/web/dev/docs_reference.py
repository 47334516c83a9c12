"""The reference of settings, commands and checks, as Markdown: written from the code, so that none is forgotten."""

import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from project.core.checks import BROKEN, Check, Finding
from project.core.conf import ROOT, EnvSettings
from project.core.runtime import Runtime

KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    SecretStr: "text, kept secret",
    Path: "a path",
    list: "names with commas between",
}
WIDTH = 88


def settings(runtime: Runtime) -> str:
    """What may be set, with kind, bounds and default."""
    groups: list[tuple[str, type[EnvSettings]]] = [("The site", type(runtime.settings))]
    groups += [(app.title or app.label, app.settings) for app in runtime.registry.apps if app.settings]
    parts = [
        *("# Every setting", "Set it in the environment, else in `.env`; the name is the same in both."),
        "`python3 manage.py settings` shows the values that count here, and where each comes from.",
    ]
    for title, group in groups:
        prefix = group.model_config.get("env_prefix") or ""
        parts += [f"## {title}", *(_setting(prefix + name, field) for name, field in group.model_fields.items())]
    return "\n\n".join(parts)


def commands(runtime: Runtime) -> str:
    """What manage.py does, as its help says it."""
    catalogue = _above("catalogue")
    groups = {title: list(map(catalogue.load_core, names)) for title, names in catalogue.CORE_GROUPS.items()}
    for app in runtime.registry.apps:
        if app.commands:
            groups.setdefault(app.title or app.label, []).extend(app.commands)
    parts = ["# Every command", "As `python3 manage.py help <command>` says it, too."]
    for title, listed in groups.items():
        parts += [f"## {title}", *(_command(name, each) for one in listed for name, each in _and_its_own(one))]
    return "\n\n".join(parts)


def checks(runtime: Runtime) -> str:
    """What `check` may find, and what to do about it."""
    above = _above("check")
    every: list[Check] = above.every_check(runtime)
    parts = [
        "# Every check",
        "`python3 manage.py check` makes those of each day, `check --deploy` all of them. The letter tells the level: "
        "E an error, W a warning, I a note. What a site means to be so is named in `SILENCED_CHECKS`.",
        "## Of the checks themselves",
        *(_finding(found) for found in (BROKEN, above.REFUSED)),
    ]
    for one in every:
        when = "Made by `check --deploy`" if one.deploy else "Made always"
        tags = ", ".join(f"`{tag}`" for tag in one.tags) or "none"
        about = " ".join((one.run.__doc__ or "").split())
        parts += [
            f"## {one.run.__name__.replace('_', ' ').capitalize()}",
            f"{about} {when}; tags: {tags}.",
            *map(_finding, one.finds),
        ]
    return "\n\n".join(parts)


REFERENCE: dict[str, tuple[str, Callable[[Runtime], str]]] = {
    "reference/settings": ("Every setting", settings),
    "reference/commands": ("Every command", commands),
    "reference/checks": ("Every check", checks),
}


def _above(name: str) -> Any:
    """A module of the commands: they stand on a floor above, and are only read here, as apps are."""
    return import_module(f"project.core.management.{name}")


def _setting(name: str, field: FieldInfo) -> str:
    default = "It must be set." if field.is_required() else f"Default: {_default(field.get_default())}."
    return f"### `{name}`\n\n{field.description or ''}\n\n{_kind(field)}. {default}"


def _kind(field: FieldInfo) -> str:
    """In words, what the setting takes: "A whole number, at least 1, at most 200"."""
    kinds = [each for each in _one_of(field.annotation) if each is not NoneType]
    said = " or ".join(dict.fromkeys(word for kind in kinds for word in _said(kind)))
    bounds = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    limits = [
        f"{words} {getattr(limit, key):g}"
        for key, words in bounds.items()
        for limit in field.metadata
        if getattr(limit, key, None) is not None
    ]
    told = ", ".join([said, *limits])
    return told[:1].upper() + told[1:]


def _one_of(annotation: Any) -> Iterable[Any]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else [annotation]


def _said(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from (f"`{each}`" for each in get_args(kind))
    else:
        yield KINDS.get(get_origin(kind) or kind, getattr(kind, "__name__", str(kind)))


def _default(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, Path) and value.is_relative_to(ROOT):
        value = value.relative_to(ROOT)
    if isinstance(value, list):
        value = ",".join(map(str, value))
    return "unset" if value is None else f"`{value}`" if str(value) else "empty"


def _and_its_own(command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command, then the commands it is made of: `jobs`, `jobs list`, …"""
    yield command.name or "", command
    if isinstance(command, click.Group):
        yield from ((f"{command.name} {name}", each) for name, each in command.commands.items())


def _command(name: str, command: click.Command) -> str:
    width: dict[str, Any] = {"terminal_width": WIDTH, "max_content_width": WIDTH}
    told = command.get_help(click.Context(command, info_name=f"manage.py {name}", **width))
    return f"### `{name}`\n\n```text\n{told}\n```"


def _finding(found: Finding) -> str:
    return f"### {found.id}\n\n{_words(found.message)}\n\n**What to do:** {_words(found.hint)}"


def _words(text: str) -> str:
    """What is filled in later is told from the rest, and Markdown reads nothing but `code` as its own."""
    return re.sub(r"\{(\w+)(![rs])?\}", r"*\1*", re.sub(r"([*_<\[\]])", r"\\\1", text))
