"""This site's settings: what is yours is added here, everything else comes from the framework's base."""

from project.core.conf import Names, Settings as CoreSettings


class Settings(CoreSettings):
    """Add your own fields below; a field's name is its name in the environment and in .env."""

    INSTALLED_APPS: Names = [
        "project",
        "apps.accounts",
        "apps.fetcher",
        "apps.realtime",
    ]
