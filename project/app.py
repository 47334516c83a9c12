"""The site itself: an app whose pages stand at the root."""

from project import pages
from project.core import AppConfig, MenuItem

config = AppConfig(
    label="site",
    prefix="",
    pages=pages.router,
    menu=[MenuItem("Home", "home")],
)
