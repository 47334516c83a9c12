"""The framework's own system checks; ids are core.E… for errors, core.W… for warnings."""

import os
import stat
from collections.abc import Iterable

from project.core.checks import Check, Finding, check
from project.core.conf import ROOT
from project.core.runtime import Runtime


@check()
def browser_assets(runtime: Runtime) -> Iterable[Finding]:
    """htmx is where the pages expect it."""
    if not (runtime.settings.DATA_DIR / "vendor" / "htmx.min.js").is_file():
        yield Finding(
            "core.W001",
            "warning",
            "The browser assets are missing; pages work without JavaScript only.",
            "Run: python3 manage.py assets",
        )


@check()
def identity_answered(runtime: Runtime) -> Iterable[Finding]:
    """Some app says who is asking."""
    if runtime.registry.authenticate is None:
        yield Finding(
            "core.W002",
            "warning",
            "No installed app sets authenticate, so nobody can sign in.",
            "Add apps.accounts to INSTALLED_APPS.",
        )


@check()
def secrets_private(_: Runtime) -> Iterable[Finding]:
    """.env is readable by its owner only."""
    env = ROOT / ".env"
    if os.name == "posix" and env.exists() and stat.S_IMODE(env.stat().st_mode) & 0o077:
        yield Finding("core.W003", "warning", "Others on this machine can read .env.", "Run: chmod 600 .env")


@check(deploy=True)
def debug_off(runtime: Runtime) -> Iterable[Finding]:
    """DEBUG is for development."""
    if runtime.settings.DEBUG:
        yield Finding("core.E101", "error", "DEBUG is on.", "Set DEBUG=false in production.")


@check(deploy=True)
def https(runtime: Runtime) -> Iterable[Finding]:
    """People reach the site by https, so cookies are Secure."""
    if not runtime.settings.secure:
        yield Finding(
            "core.E102",
            "error",
            "SITE_URL is not https, so cookies are sent in the clear.",
            "Set SITE_URL=https://your.host (TLS may end at a proxy).",
        )


@check(deploy=True)
def one_process_on_sqlite(runtime: Runtime) -> Iterable[Finding]:
    """SQLite is for one process."""
    if not runtime.database.is_sqlite:
        return
    if _processes() > 1:
        yield Finding(
            "core.E103",
            "error",
            f"SQLite with {_processes()} web processes.",
            "Set DATABASE_URL=postgresql://… or run one process (WEB_CONCURRENCY=1).",
        )
    else:
        yield Finding(
            "core.W104",
            "warning",
            "SQLite with one process: supported, on one machine with a local disk.",
            "Back the file up; to grow beyond one process set DATABASE_URL=postgresql://…",
        )


def _processes() -> int:
    given = os.environ.get("WEB_CONCURRENCY", "1")
    return int(given) if given.isdigit() else 1


@check(deploy=True)
def hosts_named(runtime: Runtime) -> Iterable[Finding]:
    """The site knows its own names."""
    if "*" in runtime.settings.ALLOWED_HOSTS:
        yield Finding(
            "core.E105",
            "error",
            "ALLOWED_HOSTS is *, so any Host header is believed.",
            "Name your hosts instead.",
        )


@check(deploy=True)
def proxies_named(runtime: Runtime) -> Iterable[Finding]:
    """Forwarded headers are believed from known peers only."""
    if "*" in runtime.settings.TRUSTED_PROXIES:
        yield Finding(
            "core.E106",
            "error",
            "TRUSTED_PROXIES is *, so anybody may choose the address they are limited by.",
            "Name the proxy's address or network.",
        )


@check(deploy=True)
def docs_closed(runtime: Runtime) -> Iterable[Finding]:
    """Open docs are a choice."""
    if runtime.settings.docs_open:
        yield Finding(
            "core.W107",
            "warning",
            "The API docs are open to everybody.",
            "Unset API_DOCS if that is not meant.",
        )


CORE_CHECKS: list[Check] = [
    browser_assets,
    identity_answered,
    secrets_private,
    debug_off,
    https,
    one_process_on_sqlite,
    hosts_named,
    proxies_named,
    docs_closed,
]
