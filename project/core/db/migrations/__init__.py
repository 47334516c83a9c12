"""Migrations: one history of revisions, written and run over Alembic, which is imported only when it works.

history reads the folder and the version table; applying moves a database; writing compares tables with the
models; environment holds Alembic's options; wording names and describes.
"""

from project.core.db.migrations.applying import connect, migrate_database, statements, upgrade
from project.core.db.migrations.history import FOLDER, History, MigrationError, database_heads, pending, read

__all__ = [
    "FOLDER",
    "History",
    "MigrationError",
    "connect",
    "database_heads",
    "migrate_database",
    "pending",
    "read",
    "statements",
    "upgrade",
]
