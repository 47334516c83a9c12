"""The framework's own system checks; ids are core.E… for errors, core.W… for warnings, from 100 on for --deploy."""

import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from project.core.checks import Finding, check
from project.core.conf import ROOT
from project.core.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong: when it is, and what is then said and advised."""

    id: str
    broken: Callable[[Runtime], bool]
    message: str
    hint: str

    @property
    def finding(self) -> Finding:
        """The rule as a finding."""
        return Finding(self.id, "error" if ".E" in self.id else "warning", self.message, self.hint)


def _env_readable(_: Runtime) -> bool:
    env = ROOT / ".env"
    return os.name == "posix" and env.exists() and bool(stat.S_IMODE(env.stat().st_mode) & 0o077)


def _several_processes() -> bool:
    return os.environ.get("WEB_CONCURRENCY", "1") not in ("", "0", "1")


RULES = [
    Rule(
        "core.W001",
        lambda runtime: not (runtime.settings.DATA_DIR / "vendor" / "htmx.min.js").is_file(),
        "The browser assets are missing; pages work without JavaScript only.",
        "Run: python3 manage.py assets",
    ),
    Rule(
        "core.W002",
        lambda runtime: runtime.registry.authenticate is None,
        "No installed app sets authenticate, so nobody can sign in.",
        "Add apps.accounts to INSTALLED_APPS.",
    ),
    Rule("core.W003", _env_readable, "Others on this machine can read .env.", "Run: chmod 600 .env"),
]
DEPLOY_RULES = [
    Rule("core.E101", lambda runtime: runtime.settings.DEBUG, "DEBUG is on.", "Set DEBUG=false in production."),
    Rule(
        "core.E102",
        lambda runtime: not runtime.settings.secure,
        "SITE_URL is not https, so cookies are sent in the clear.",
        "Set SITE_URL=https://your.host (TLS may end at a proxy).",
    ),
    Rule(
        "core.E103",
        lambda runtime: runtime.database.is_sqlite and _several_processes(),
        "SQLite with several web processes (WEB_CONCURRENCY).",
        "Set DATABASE_URL=postgresql://… or run one process.",
    ),
    Rule(
        "core.W104",
        lambda runtime: runtime.database.is_sqlite and not _several_processes(),
        "SQLite with one process: supported, on one machine with a local disk.",
        "Back the file up; to grow beyond one process set DATABASE_URL=postgresql://…",
    ),
    Rule(
        "core.E105",
        lambda runtime: "*" in runtime.settings.ALLOWED_HOSTS,
        "ALLOWED_HOSTS is *, so any Host header is believed.",
        "Name your hosts instead.",
    ),
    Rule(
        "core.E106",
        lambda runtime: "*" in runtime.settings.TRUSTED_PROXIES,
        "TRUSTED_PROXIES is *, so anybody may choose the address they are limited by.",
        "Name the proxy's address or network.",
    ),
    Rule(
        "core.W107",
        lambda runtime: runtime.settings.docs_open,
        "The API docs are open to everybody.",
        "Unset API_DOCS if that is not meant.",
    ),
]


@check()
def rules(runtime: Runtime) -> Iterable[Finding]:
    """What holds everywhere."""
    return [rule.finding for rule in RULES if rule.broken(runtime)]


@check(deploy=True)
def deploy_rules(runtime: Runtime) -> Iterable[Finding]:
    """What holds in production."""
    return [rule.finding for rule in DEPLOY_RULES if rule.broken(runtime)]


CORE_CHECKS = [rules, deploy_rules]
