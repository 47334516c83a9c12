"""Look for misconfigurations and print what to do about each."""

import asyncio
from collections.abc import Iterator, Sequence

import click

from project.core.checks import LEVELS, Check, Finding, check as declare, run_checks
from project.core.errors import ConfigurationError, nearest
from project.core.management import CommandError, Site, catalogue
from project.core.runtime import Runtime
from project.core.site_checks import CORE_CHECKS

HIDDEN = Finding("core.E002", "An app's command {name!r} can never run: manage.py has its own.", "Rename the app's.")
REFUSED = Finding("core.E003", "The site cannot be built: {reason}", "Mend what it names; nothing else ran.")


@declare(HIDDEN, tags=["apps"])
def commands(runtime: Runtime) -> Iterator[Finding]:
    """The names of the apps' commands."""
    return (HIDDEN.of(name=name) for name in runtime.registry.commands if name in catalogue.CORE)


@click.command(epilog="Example: manage.py check --deploy --tag database --fail-level warning")
@click.argument("apps", nargs=-1)
@click.option("--deploy", is_flag=True, help="Check for production as well: connect, start the site, send requests.")
@click.option("--tag", "-t", "tags", multiple=True, help="Only the checks with this tag; may be repeated.")
@click.option("--list-tags", is_flag=True, help="List the tags, with --deploy also those of its own checks.")
@click.option(
    "--fail-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    default="error",
    show_default=True,
    help="Least level that ends with exit code 1.",
)
@click.pass_obj
def check(
    site: Site, apps: tuple[str, ...], deploy: bool, tags: tuple[str, ...], list_tags: bool, fail_level: str
) -> None:
    """Look for mistakes in settings and apps; APPS limits it to what these apps check."""
    try:
        runtime = site.runtime
    except (ConfigurationError, OSError) as error:
        _tell([REFUSED.of(reason=line) for line in str(error).splitlines()], (), fail_level)
        return
    checks = [one for one in _checks(runtime, apps) if deploy or not one.deploy]
    known = sorted({tag for one in checks for tag in one.tags})
    if list_tags:
        click.echo("\n".join(known))
        return
    for tag in tags:
        if tag not in known:
            raise CommandError(f"There is no check with the tag {tag!r}.{nearest(tag, known)}")
    chosen = [one for one in checks if not tags or set(tags) & set(one.tags)]
    _tell(asyncio.run(run_checks(runtime, chosen)), runtime.settings.SILENCED_CHECKS, fail_level)


def every_check(runtime: Runtime) -> list[Check]:
    """The framework's checks, then the apps'."""
    return [commands, *CORE_CHECKS, *(one for app in runtime.registry.apps for one in app.checks)]


def _checks(runtime: Runtime, apps: Sequence[str]) -> list[Check]:
    return [one for label in apps for one in runtime.registry.app(label).checks] if apps else every_check(runtime)


def _tell(findings: Sequence[Finding], silenced: Sequence[str], fail_level: str) -> None:
    shown = [found for found in findings if found.id not in silenced]
    for found in shown:
        click.echo(f"{found.level.upper()} {found.id}: {found.message}\n    {found.hint}", err=True)
    count, hushed = len(shown), len(findings) - len(shown)
    words = f"{count} issue{'s' * (count > 1)} found" if count else "No issues found"
    click.echo(f"{words}, {hushed} silenced." if hushed else f"{words}.")
    if any(LEVELS.index(found.level) >= LEVELS.index(fail_level.lower()) for found in shown):
        raise SystemExit(1)
