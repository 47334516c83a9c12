"""Run all tests on every database at hand."""

import os
import sys

import click

from project.core.conf import ROOT


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def test(args: tuple[str, ...]) -> None:
    """Run the tests; paths and options go to pytest."""
    os.chdir(ROOT)
    command = [sys.executable, "-m", "pytest", *args]
    if os.name == "posix":
        os.execv(sys.executable, command)  # noqa: S606
    import subprocess

    raise SystemExit(subprocess.run(command, check=False).returncode)
