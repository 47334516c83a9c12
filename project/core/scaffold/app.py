"""What the scaffold adds to the site."""

from project.core import AppConfig, MenuItem
from project.core.scaffold import api, pages
from project.core.scaffold.admin import ThingAdmin
from project.core.scaffold.models import Thing

config = AppConfig(
    label="scaffold",
    title="Scaffold",
    api=api.router,
    pages=pages.router,
    models=[Thing],
    admin=[ThingAdmin],
    menu=[MenuItem("Things", "scaffold:list")],
)
