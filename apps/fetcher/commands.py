"""The fetcher from the terminal."""

import json
import sys
from contextlib import aclosing
from dataclasses import asdict
from typing import TextIO

import click

from apps.fetcher.client import Fetched, Transport, fetch_all
from apps.fetcher.conf import FetcherSettings
from project.core import Runtime, command

DAY = 86_400.0


@command(epilog="Example: manage.py fetch https://example.com/ --json")
@click.argument("urls", nargs=-1)
@click.option("--file", type=click.File(), help="Read more URLs from this file, one per line; - is standard input.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
async def fetch(runtime: Runtime, urls: tuple[str, ...], file: TextIO | None, as_json: bool) -> None:
    """Fetch URLs and say what became of each; exit code 1 when one of them failed."""
    lines = (line.strip() for line in file or ())
    wanted = list(dict.fromkeys([*urls, *filter(None, lines)]))
    if not wanted:
        raise click.UsageError("Name a URL, or a --file of them.")
    failed = 0
    results = fetch_all(wanted, runtime.conf(FetcherSettings).limits(DAY), runtime.find(Transport))
    with click.progressbar(length=len(wanted), label="Fetching", file=sys.stderr) as bar:
        async with aclosing(results):
            async for each in results:
                failed += each.error is not None
                bar.update(1)
                click.echo(json.dumps(asdict(each)) if as_json else _line(each))
    if failed:
        raise SystemExit(1)


def _line(each: Fetched) -> str:
    outcome = each.error.value if each.error else str(each.status_code)
    return f"{outcome:<10} {each.size:>9,} B {each.elapsed_ms:>6,} ms  {each.url}  {each.title}".rstrip()
