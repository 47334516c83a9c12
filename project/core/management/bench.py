"""The site beside a plain FastAPI app on this machine; what is measured, and how, stands in tests/bench."""

import importlib
from pathlib import Path

import click

from project.core.management import CommandError


@click.command(epilog="Example: manage.py bench --work W1,W2 --rounds 3")
@click.option("--work", default="", metavar="W1,…", help="Some of W1 to W10; all otherwise, in less than six minutes.")
@click.option("--rounds", type=click.IntRange(1, 100), default=5, show_default=True, help="Of which medians are taken.")
@click.option("--seconds", type=click.IntRange(1, 60), default=2, show_default=True, help="Of each side in a round.")
@click.option("--connections", type=click.IntRange(1, 500), default=32, show_default=True, help="Asking at once.")
@click.option("--database", envvar="TEST_DATABASE_URL", default="", metavar="URL", help="A PostgreSQL server.")
@click.option("--log", is_flag=True, help="Let both sides write a line for each request.")
@click.option("--json", "target", type=click.Path(dir_okay=False, path_type=Path), help="Keep every figure there.")
def bench(work: str, database: str, target: Path | None, **options: int) -> None:
    """Measure the site beside a plain FastAPI app: ratios, latency, memory, start-up."""
    try:
        suite = importlib.import_module("tests.bench.suite")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("tests"):
            raise
        raise CommandError("The benchmark is in tests/bench, which this copy of the project lacks.") from None
    try:
        plan = suite.Plan(suite.chosen(work), **options)
    except ValueError as error:
        raise CommandError(str(error), 2) from None
    try:
        good = suite.run(plan, database, target)
    except suite.Missing as missing:
        raise CommandError(str(missing)) from None
    if not good:
        raise SystemExit(1)
