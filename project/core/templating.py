"""The pages' Jinja environment: a path in the site's templates wins over an app's, an app's over the core's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

CORE_TEMPLATES = Path(__file__).parent / "templates"


def gettext(text: str) -> str:
    """The text in the reader's language; one language so far."""
    return text


class Macros:
    """`ui.field(...)` anywhere: the macros of every `core/ui/*.html`, whoever overrides that file.

    A template's own imports would be invisible to a block rendered alone.
    """

    def __init__(self, env: Environment, home: str) -> None:
        self._env, self._home = env, home
        self._homes: dict[str, str] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._homes:
            for home in self._env.list_templates(filter_func=lambda path: path.startswith(self._home)):
                self._homes |= dict.fromkeys(vars(self._env.get_template(home).module), home)
        if name not in self._homes:
            raise AttributeError(f"there is no macro {name} in {self._home}")
        macro = getattr(self._env.get_template(self._homes[name]).module, name)
        if not self._env.auto_reload:  # it stays what it is: next time it is found without looking
            vars(self)[name] = macro
        return macro


def folders(site: Path, apps: Iterable[Path]) -> list[Path]:
    """Where templates are looked for, in this order: the site's own folder, `templates/` of each app, the core's."""
    return [site, *(app / "templates" for app in apps), CORE_TEMPLATES]


def environment(site: Path, apps: Iterable[Path], **names: Any) -> Environment:
    """The environment over the `folders` of a site and its apps; `names` is what every template may use."""
    env = Environment(
        loader=FileSystemLoader(folders(site, apps)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=bool(names.get("debug")),  # it would look at the file of each macro that is called
    )
    env.globals.update(names, _=gettext, ui=Macros(env, "core/ui/"))
    return env


def render_block(env: Environment, template: str, block: str, context: dict[str, Any]) -> str:
    """Only the named block of a template; raises KeyError when there is no such block."""
    found = env.get_template(template)
    if block not in found.blocks:
        raise KeyError(f"{template} has no block {block!r}; it has {', '.join(found.blocks) or 'none'}")
    return "".join(found.blocks[block](found.new_context(context)))
