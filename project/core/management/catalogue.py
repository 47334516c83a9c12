"""Which commands there are, without importing them; the summaries are kept in a small cache."""

import importlib
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[3]
CORE_GROUPS = {
    "Site": ["runserver", "check", "routes", "settings", "shell"],
    "Database": ["migrate", "makemigrations", "showmigrations", "sqlmigrate"],
    "Development": ["test", "ci", "lock", "assets"],
}
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
    try:
        cached = json.loads(CACHE.read_text())
        if cached["stamp"] == stamp:
            return {title: [(name, text) for name, text in rows] for title, rows in cached["groups"].items()}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    groups: Listing = {
        title: [(name, load_core(name).get_short_help_str(70)) for name in names]
        for title, names in CORE_GROUPS.items()
    }
    for app in apps():
        if app.commands:
            groups[app.title or app.label] = [(c.name, c.get_short_help_str(70)) for c in app.commands]
    _keep(stamp, groups)
    return groups


def _stamp() -> str:
    sources = [
        *(ROOT / "project").glob("*.py"),
        *Path(__file__).parent.glob("*.py"),
        *(ROOT / "apps").glob("*/*.py"),
    ]
    marks = [f"{path}:{path.stat().st_mtime_ns}" for path in sorted(sources)]
    return sha256("\n".join(marks).encode()).hexdigest()


def _keep(stamp: str, groups: Listing) -> None:
    try:
        CACHE.parent.mkdir(exist_ok=True)
        CACHE.write_text(json.dumps({"stamp": stamp, "groups": groups}))
    except OSError:
        return
