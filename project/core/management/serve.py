"""The production server: uvicorn in as many processes as you say, replaced one by one, drained when it stops."""

import os

import click

from project.core.management import CommandError, Site
from project.core.management.runserver import parse_address

GRACE_SECONDS = 20
START_SECONDS = 60  # that a new process has to be ready, before the one it replaces is told to stop


@click.command(epilog="Example: manage.py serve --workers 4 --bind 0.0.0.0:8000")
@click.option("--bind", default="127.0.0.1:8000", metavar="ADDR:PORT", help="Where to listen.", show_default=True)
@click.option("--workers", type=click.IntRange(1, 1000), help="Web processes; WEB_CONCURRENCY otherwise.")
@click.option("--grace", default=GRACE_SECONDS, help="Seconds that requests under way have to end.", show_default=True)
@click.option("--limit-concurrency", type=click.IntRange(2), help="Connections of a process, 5000 otherwise; then 503.")
@click.pass_obj
def serve(site: Site, bind: str, workers: int | None, grace: int, limit_concurrency: int | None) -> None:
    """Serve the site in production. SIGHUP replaces the processes one by one, SIGTERM drains and ends them."""
    from project.core import log
    from project.core.web import server

    settings = site.settings
    log.configure(settings)  # of this process; each that it starts does it in project/asgi.py
    workers = workers or settings.WEB_CONCURRENCY
    if workers > 1 and not settings.REDIS_URL.get_secret_value():
        raise CommandError(
            f"{workers} processes need REDIS_URL: without Redis, jobs and events stay inside one. Set it, or serve "
            "with --workers 1."
        )
    os.environ["WEB_CONCURRENCY"] = str(workers)
    host, port = parse_address(bind)
    server.serve(
        server.Config(
            "project.asgi:app",
            host=host,
            port=port,
            workers=workers,
            **server.AS_HERE | {"limit_concurrency": limit_concurrency or server.MOST_CONNECTIONS},
            log_level="info",
            log_config=None,
            timeout_graceful_shutdown=grace,
            timeout_worker_healthcheck=START_SECONDS,
        )
    )
