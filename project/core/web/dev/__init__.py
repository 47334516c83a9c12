"""What exists in development only: the assembly includes these routers when DEBUG is on."""

from project.core.web.dev import docs, mail, reload, ui
from project.core.web.dev.trouble import explain

__all__ = ["explain", "routers"]
routers = [reload.router, ui.router, mail.router, docs.router]
