"""What exists in development only: the assembly includes these routers when DEBUG is on."""

from project.core.web.dev import docs, mail, reload, ui

routers = [reload.router, ui.router, mail.router, docs.router]
