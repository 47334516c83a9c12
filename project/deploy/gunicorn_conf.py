"""gunicorn in place of `manage.py serve`: gunicorn -c project/deploy/gunicorn_conf.py project.asgi:app

Needs the packages gunicorn and uvicorn-worker. It reads WEB_CONCURRENCY by itself.
"""

from uvicorn_worker import UvicornWorker

from project.core.web.server import AS_HERE


class Worker(UvicornWorker):  # type: ignore[misc]
    """uvicorn with this house's limits; left to itself it would believe headers and take sockets' 16 MB."""

    CONFIG_KWARGS = AS_HERE | {"timeout_graceful_shutdown": 20}


worker_class = Worker
bind = "127.0.0.1:8000"
graceful_timeout = 60  # longer than DRAIN_SECONDS and the seconds above
