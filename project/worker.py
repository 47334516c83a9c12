"""The door for arq: `arq project.worker.WorkerSettings`. `manage.py worker` does the same."""

from project.core.worker import worker_settings
from project.settings import Settings

WorkerSettings = worker_settings(Settings.load())
