"""Which commands there are, without importing them; the summaries are kept in a small cache."""

import importlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

from project.core.management.environment import ROOT

CORE_GROUPS = {
    "Site": [
        *("runserver", "serve", "check", "routes", "request", "openapi", "settings", "diffsettings", "shell"),
        *("collectstatic", "findstatic"),
    ],
    "Jobs and mail": ["worker", "jobs", "cleanup", "sendtestemail"],
    "Database": ["migrate", "makemigrations", "showmigrations", "sqlmigrate"],
    "Data": ["dumpdata", "loaddata", "seed", "flush", "sqlflush", "dbshell", "backup", "restore"],
    "Development": ["startapp", "startproject", "core", "test", "ci", "bench", "screenshots", "lock", "assets"],
}
ALIASES = {"clearsessions": "cleanup"}  # names of Django's that people's crontabs hold
CORE = [name for names in CORE_GROUPS.values() for name in names]
CACHE = ROOT / ".data" / "commands.json"
Listing = dict[str, list[tuple[str, str]]]


def load_core(name: str) -> click.Command:
    """The core command of that name."""
    module = importlib.import_module(f"project.core.management.{name}")
    found: click.Command = getattr(module, name)
    return found


def listed(apps: Callable[[], Sequence[Any]]) -> Listing:
    """{group: [(name, summary)]}, from the cache while no command's source has changed."""
    stamp = _stamp()
    with suppress(OSError, ValueError, KeyError, TypeError):
        cached = json.loads(CACHE.read_text())
        if cached["stamp"] == stamp:
            return {title: [(name, text) for name, text in rows] for title, rows in cached["groups"].items()}
    groups: Listing = {
        title: [(name, load_core(name).get_short_help_str(70)) for name in names]
        for title, names in CORE_GROUPS.items()
    }
    for app in apps():
        if app.commands:
            rows = [(c.name, c.get_short_help_str(70)) for c in app.commands]
            groups.setdefault(app.title or app.label, []).extend(rows)
    with suppress(OSError):
        CACHE.parent.mkdir(exist_ok=True)
        CACHE.write_text(json.dumps({"stamp": stamp, "groups": groups}))
    return groups


def _stamp() -> str:
    folders = [(ROOT / "project", "*.py"), (Path(__file__).parent, "*.py"), (ROOT / "apps", "*/*.py")]
    sources = [path for folder, pattern in folders for path in folder.glob(pattern)]
    marks = [f"{path}:{path.stat().st_mtime_ns}" for path in sorted(sources)]
    return sha256("\n".join(marks).encode()).hexdigest()
