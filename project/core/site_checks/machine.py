"""What lies on the disk: the data folder, the browser's files, `.env`."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from project.core.checks import Finding, check
from project.core.conf import ROOT
from project.core.errors import ConfigurationError
from project.core.runtime import Runtime
from project.core.web.static.collecting import collect
from project.core.web.static.sources import sources_of

ASSETS = Finding(
    "core.W001", "The browser assets are missing; pages work without JavaScript only.", "Run: python3 manage.py assets"
)
NOBODY = Finding(
    "core.W002", "No installed app sets authenticate, so nobody can sign in.", "Add apps.accounts to INSTALLED_APPS."
)
READABLE = Finding("core.W003", "Others on this machine can read .env.", "Run: chmod 600 .env")
NOT_WRITABLE = Finding(
    "core.E116",
    "Nothing can be written in DATA_DIR ({reason}).",
    "Let the site's user own that folder, or set DATA_DIR to one that is theirs.",
)
NO_ASSETS = Finding("core.E117", "The browser assets are missing, so nothing moves on the pages.", ASSETS.hint)
NOT_COLLECTED = Finding(
    "core.W108",
    "{count} static files are not collected, or changed since; {name} is one.",
    "Run: python3 manage.py collectstatic",
)
BAD_REFERENCE = Finding("core.E109", "{reason}", "Correct the reference or add the file; collectstatic needs it.")


@check(ASSETS, NOBODY, READABLE, tags=["apps", "files"])
def everywhere(runtime: Runtime) -> Iterator[Finding]:
    """What holds on every machine."""
    if runtime.settings.DEBUG and not _has_assets(runtime):
        yield ASSETS
    if runtime.registry.authenticate is None:
        yield NOBODY
    env = ROOT / ".env"
    if os.name == "posix" and env.exists() and env.stat().st_mode & 0o077:
        yield READABLE


@check(NOT_WRITABLE, NO_ASSETS, NOT_COLLECTED, BAD_REFERENCE, tags=["files", "static"], deploy=True)
def files(runtime: Runtime) -> Iterator[Finding]:
    """What browsers are served, and where the site keeps its own."""
    settings = runtime.settings
    if reason := _refuses(settings.DATA_DIR):
        yield NOT_WRITABLE.of(reason=reason)
        return  # the assets lie in there
    if not settings.DEBUG and not _has_assets(runtime):
        yield NO_ASSETS
        return  # what was collected without them is not complete either
    try:
        waiting = collect(sources_of(runtime), settings.static_root, dry_run=True).written
    except (ValueError, ConfigurationError) as error:
        yield BAD_REFERENCE.of(reason=error)
    else:
        if waiting:
            yield NOT_COLLECTED.of(count=len(waiting), name=waiting[0])


def _has_assets(runtime: Runtime) -> bool:
    return (runtime.settings.DATA_DIR / "vendor" / "htmx.min.js").is_file()


def _refuses(folder: Path) -> str:
    """Why nothing can be written there, or nothing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return ""
