"""Look for misconfigurations and print what to do about each."""

import click

from project.core.checks import run_checks
from project.core.management import CommandError, catalogue, command
from project.core.runtime import Runtime
from project.core.site_checks import CORE_CHECKS


@command()
@click.option("--deploy", is_flag=True, help="Check for production as well.")
@click.option("--fail-level", type=click.Choice(["warning", "error"]), default="error", help="Least level that fails.")
def check(runtime: Runtime, deploy: bool, fail_level: str) -> None:
    """Look for mistakes in settings and apps."""
    checks = [*CORE_CHECKS, *(one for app in runtime.registry.apps for one in app.checks)]
    hidden = [name for name in runtime.registry.commands if name in catalogue.CORE]
    if hidden:
        raise CommandError(f"An app's command {hidden[0]!r} can never run: manage.py has its own. Rename it.")
    findings = run_checks(runtime, checks, deploy=deploy)
    for found in findings:
        click.echo(f"{found.level.upper()} {found.id}: {found.message}\n    {found.hint}", err=True)
    count = len(findings)
    click.echo("No issues found." if not count else f"{count} issue{'s' * (count > 1)} found.")
    if any(found.level == "error" or fail_level == "warning" for found in findings):
        raise SystemExit(1)
