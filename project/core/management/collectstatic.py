"""Bring all static files to one place, under names that hold their hash."""

import click

from project.core.management import CommandError, command, say
from project.core.runtime import Runtime


@command(epilog="Example: manage.py collectstatic --dry-run")
@click.option("--clear", "-c", is_flag=True, help="Remove the files of former releases.")
@click.option("--dry-run", "-n", is_flag=True, help="Only say what would be done.")
@click.option("--noinput", "--no-input", is_flag=True, help="Ask nothing; this command never does.")
def collectstatic(runtime: Runtime, clear: bool, dry_run: bool, noinput: bool) -> None:
    """Collect static files under hashed names, compressed."""
    from project.core.web.static.collecting import collect
    from project.core.web.static.sources import sources_of

    root = runtime.settings.static_root
    try:
        report = collect(sources_of(runtime), root, clear=clear, dry_run=dry_run)
    except (ValueError, OSError) as error:
        raise CommandError(f"{error} Nothing changed for the site that is served.") from None
    for verb, names in (("write", report.written), ("remove", report.removed)):
        for name in names if dry_run else []:
            click.echo(f"Would {verb} {name}")
    counts = f"{len(report.written)} new, {report.unchanged} unchanged, {len(report.removed)} removed"
    say(f"{counts} in {root}{' (dry run: nothing was touched)' if dry_run else ''}.")
