"""Run all tests on every database at hand."""

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import click

from project.core.conf import ROOT
from project.core.management import CommandError
from project.core.management.ci import BESIDE_EACH_OTHER

DJANGO = {"--failfast": ["-x"], "--noinput": [], "--no-input": [], "--keepdb": []}  # in pytest's words


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--settings", envvar="SETTINGS_MODULE", metavar="MODULE", help="Other settings, such as project.staging.")
@click.option("--parallel", metavar="N", help="How many at once, or auto.")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def test(settings: str | None, parallel: str | None, args: tuple[str, ...]) -> None:
    """Run the tests: all of them, on every core, or what the paths and options for pytest say."""
    if find_spec("pytest") is None:
        raise CommandError("pytest is not installed yet: `python3 manage.py test` brings it and runs all tests.")
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", *_words(settings, parallel, args)]
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606
    import subprocess

    raise SystemExit(subprocess.run(command, check=False).returncode)


def _words(settings: str | None, parallel: str | None, args: Sequence[str]) -> Iterator[str]:
    """What pytest is told; a bare `test` runs all tests on every core."""
    given = [word for each in args for word in DJANGO.get(each, [each])]
    if settings:
        yield from ("-o", f"uptempo_settings={settings if ':' in settings else f'{settings}:Settings'}")
    if parallel:
        yield from ("-n", parallel)
    yield from given if given or parallel else BESIDE_EACH_OTHER
