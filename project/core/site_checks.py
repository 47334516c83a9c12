"""The framework's own system checks; ids are core.E… for errors, core.W… for warnings, from 100 on for --deploy."""

import os
from collections.abc import Iterator

from project.core.checks import Finding, check
from project.core.conf import ROOT
from project.core.runtime import Runtime
from project.core.web.static.collecting import collect
from project.core.web.static.sources import sources_of


@check()
def everywhere(runtime: Runtime) -> Iterator[Finding]:
    """What holds on every machine."""
    if not (runtime.settings.DATA_DIR / "vendor" / "htmx.min.js").is_file():
        message = "The browser assets are missing; pages work without JavaScript only."
        yield Finding("core.W001", "warning", message, "Run: python3 manage.py assets")
    if runtime.registry.authenticate is None:
        message = "No installed app sets authenticate, so nobody can sign in."
        yield Finding("core.W002", "warning", message, "Add apps.accounts to INSTALLED_APPS.")
    if _several_processes() and not runtime.settings.REDIS_URL.get_secret_value():
        message = "Several web processes (WEB_CONCURRENCY) without Redis: events of one do not reach the others."
        yield Finding("core.E004", "error", message, "Set REDIS_URL=redis://… or run one process.")
    env = ROOT / ".env"
    if os.name == "posix" and env.exists() and env.stat().st_mode & 0o077:
        yield Finding("core.W003", "warning", "Others on this machine can read .env.", "Run: chmod 600 .env")


def _several_processes() -> bool:
    return os.environ.get("WEB_CONCURRENCY", "1") not in ("", "0", "1")


@check(deploy=True)
def in_production(runtime: Runtime) -> Iterator[Finding]:
    """What holds where people reach the site."""
    settings = runtime.settings
    if settings.DEBUG:
        yield Finding("core.E101", "error", "DEBUG is on.", "Set DEBUG=false in production.")
    if not settings.secure:
        hint = "Set SITE_URL=https://your.host (TLS may end at a proxy)."
        yield Finding("core.E102", "error", "SITE_URL is not https, so cookies are sent in the clear.", hint)
    if runtime.database.is_sqlite and _several_processes():
        hint = "Set DATABASE_URL=postgresql://… or run one process."
        yield Finding("core.E103", "error", "SQLite with several web processes (WEB_CONCURRENCY).", hint)
    elif runtime.database.is_sqlite:
        message = "SQLite with one process: supported, on one machine with a local disk."
        hint = "Back the file up; to grow beyond one process set DATABASE_URL=postgresql://…"
        yield Finding("core.W104", "warning", message, hint)
    if "*" in settings.ALLOWED_HOSTS:
        message = "ALLOWED_HOSTS is *, so any Host header is believed."
        yield Finding("core.E105", "error", message, "Name your hosts instead.")
    if "*" in settings.TRUSTED_PROXIES:
        message = "TRUSTED_PROXIES is *, so anybody may choose the address they are limited by."
        yield Finding("core.E106", "error", message, "Name the proxy's address or network.")
    if settings.docs_open:
        message = "The API docs are open to everybody."
        yield Finding("core.W107", "warning", message, "Unset API_DOCS if that is not meant.")
    if not settings.MAIL_URL.get_secret_value().startswith("smtp"):
        message = "MAIL_URL names no mail server, so mail reaches nobody."
        hint = "Set MAIL_URL=smtp://user:password@host:587, then try it: python3 manage.py sendtestemail you@your.host"
        yield Finding("core.W110", "warning", message, hint)
    try:
        waiting = collect(sources_of(runtime), settings.static_root, dry_run=True).written
    except ValueError as error:
        yield Finding(
            "core.E109", "error", str(error), "Correct the reference or add the file; collectstatic needs it."
        )
    else:
        if waiting:
            message = f"{len(waiting)} static files are not collected, or changed since; {waiting[0]} is one."
            yield Finding("core.W108", "warning", message, "Run: python3 manage.py collectstatic")


CORE_CHECKS = [everywhere, in_production]
