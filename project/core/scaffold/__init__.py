"""The scaffold: the front door. What other apps may use is exported here."""

from project.core.scaffold.models import Thing

__all__ = ["Thing"]
