"""Uptempo's framework: the public face. Names load when they are first used, so the terminal starts at once.

conf errors log identity templating signing pool checks   the ground: settings, refusals, logs, who is asking
db/                 engine, models, queries, migrations
mail/               one mail from one template, and where it goes
jobs/               jobs that cannot be lost: a row in the same transaction, and who runs it
apps runtime        the plug, and what one process opens
web/                edge, guard, forms, pages, problems, docs
admin/              SQLAdmin behind the site's own sign-in
management/         manage.py's commands
testing/            the pytest plug-in
asgi                create_app: the assembly of it all
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from project.core.admin import ModelAdmin as ModelAdmin
    from project.core.apps import AppConfig as AppConfig, MenuItem as MenuItem
    from project.core.conf import AppSettings as AppSettings
    from project.core.db.engine import on_commit as on_commit
    from project.core.db.models import Model as Model, Timestamped as Timestamped, now as now
    from project.core.db.queries import Slice as Slice, get_or_404 as get_or_404, paginate as paginate
    from project.core.db.session import AsyncSession as AsyncSession
    from project.core.errors import (
        BadRequest as BadRequest,
        Conflict as Conflict,
        Forbidden as Forbidden,
        Invalid as Invalid,
        NotFound as NotFound,
        TooMany as TooMany,
        Unavailable as Unavailable,
    )
    from project.core.identity import Principal as Principal
    from project.core.jobs import Running as Running, enqueue as enqueue, job as job
    from project.core.log import get_logger as get_logger
    from project.core.management import command as command
    from project.core.pool import run_blocking as run_blocking
    from project.core.runtime import Runtime as Runtime
    from project.core.web.access import needs as needs
    from project.core.web.deps import (
        DB as DB,
        CurrentRuntime as CurrentRuntime,
        Limit as Limit,
        Offset as Offset,
        PageNumber as PageNumber,
    )
    from project.core.web.error_pages import on_invalid as on_invalid
    from project.core.web.forms import Form as Form, Submitted as Submitted
    from project.core.web.pages import render as render
    from project.core.web.redirects import redirect as redirect
    from project.core.web.schemas import Page as Page, ReadSchema as ReadSchema

__version__ = "0.1.0"


def _homes() -> dict[str, str]:
    """{name: module}, read from the imports above, so that the face is written once."""
    imports = [node for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.ImportFrom)]
    return {alias.asname: node.module for node in imports for alias in node.names if alias.asname and node.module}


_HOME = _homes()
__all__ = sorted(_HOME)  # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"project.core has no public name {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
