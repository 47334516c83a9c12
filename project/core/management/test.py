"""Run all tests on every database at hand."""

import os
import sys
from importlib.util import find_spec

import click

from project.core.conf import ROOT
from project.core.management import CommandError
from project.core.management.ci import BESIDE_EACH_OTHER


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def test(args: tuple[str, ...]) -> None:
    """Run the tests: all of them, on every core, or what the paths and options for pytest say."""
    if find_spec("pytest") is None:
        raise CommandError("pytest is not installed yet: `python3 manage.py test` brings it and runs all tests.")
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", *(args or BESIDE_EACH_OTHER)]
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606
    import subprocess

    raise SystemExit(subprocess.run(command, check=False).returncode)
