"""Migrations: one history of revisions, written and run over Alembic, which is imported only when it works.

history reads the folder and the version table; applying moves a database; writing compares tables with the
models; answers holds what a person says; environment holds Alembic's options; wording names and describes.
"""

from project.core.db.migrations.applying import applied, migrate_database, statements
from project.core.db.migrations.history import FOLDER, MigrationError, pending, read

__all__ = ["FOLDER", "MigrationError", "applied", "migrate_database", "pending", "read", "statements"]
