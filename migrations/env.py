"""Alembic's door: manage.py hands a connection in; the plain `alembic` command opens the site's own database."""

from project.core.db.migrations import environment
from project.core.runtime import Runtime
from project.settings import Settings

environment.enter(lambda: Runtime(Settings.load()).database.url)
