"""The admin: SQLAdmin behind the site's own sign-in, for staff only."""

from project.core.admin.site import mount_admin
from project.core.admin.views import ModelAdmin

__all__ = ["ModelAdmin", "mount_admin"]
