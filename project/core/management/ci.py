"""Everything a change has to pass, in one command."""

import os
import subprocess
import sys
import time

import click

from project.core.conf import ROOT

BESIDE_EACH_OTHER = ["-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal"]  # they wait more than they compute
TYPES = ["-m", "mypy"]  # looked at while the others run, and told last
STEPS = [
    ("Style", ["-m", "ruff", "check", "."]),
    ("Format", ["-m", "ruff", "format", "--check", "."]),
    ("Settings", ["manage.py", "check"]),
    ("Migrations", ["manage.py", "makemigrations", "--check"]),
    ("Tests", ["-m", "pytest", *BESIDE_EACH_OTHER]),
]
MEASURED = [  # it doubles the time
    *STEPS[:-1],
    ("Tests", ["-m", "coverage", "run", "-m", "pytest", *BESIDE_EACH_OTHER]),
    ("Coverage", ["-m", "coverage", "report"]),
]


@click.command(epilog="Example: manage.py ci --coverage")
@click.option("--coverage", is_flag=True, help="Also measure which lines the tests reach.")
def ci(coverage: bool) -> None:
    """Run style, types, checks and tests, as the CI does."""
    failed = []
    with subprocess.Popen([sys.executable, *TYPES], cwd=ROOT, stdout=subprocess.PIPE, text=True) as types:
        for title, step in MEASURED if coverage else STEPS:
            click.secho(f"\n{title}", bold=True)
            started = time.monotonic()
            if subprocess.run([sys.executable, *step], cwd=ROOT, check=False).returncode:
                failed.append(title)
            click.echo(f"({time.monotonic() - started:.0f} s)")
        click.secho("\nTypes", bold=True)
        click.echo(types.communicate()[0].rstrip())
    if types.returncode:
        failed.append("Types")
    if failed:
        raise click.ClickException(f"Failed: {', '.join(failed)}.")
    click.secho("\nAll good.", bold=True)
