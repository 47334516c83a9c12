"""The one Jinja environment: a path in the site's templates wins over an app's, an app's over the core's."""

from pathlib import Path
from types import ModuleType
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined
from jinja2.runtime import Context

CORE_TEMPLATES = Path(__file__).parent / "templates"


def gettext(text: str) -> str:
    """The text in the reader's language; one language so far."""
    return text


class _Macros:
    """`ui.field(...)` anywhere; a template's own imports would be invisible to a block rendered alone."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        module: ModuleType | Any = self._env.get_template("core/ui.html").module
        return getattr(module, name)


def environment(site: Path, apps: list[Path], **names: Any) -> Environment:
    """The environment for a site.

    Args:
        site: the top-level templates folder.
        apps: each app's folder; its `templates/` is searched after the site's.
        names: what every template may use.
    """
    folders = [site, *(app / "templates" for app in apps), CORE_TEMPLATES]
    env = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(names, _=gettext, ui=_Macros(env))
    return env


def render_block(env: Environment, template: str, block: str, context: dict[str, Any]) -> str:
    """Only the named block of a template; raises KeyError when there is no such block."""
    found = env.get_template(template)
    scope: Context = found.new_context(context)
    return "".join(_block(found, block)(scope))


def _block(template: Any, block: str) -> Any:
    current = template
    if block not in current.blocks:
        raise KeyError(f"{template.name} has no block {block!r}; it has {', '.join(current.blocks) or 'none'}")
    return current.blocks[block]
