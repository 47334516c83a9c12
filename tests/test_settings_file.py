"""`.env.example` names every setting, with its default and one comment each."""

from pathlib import Path

from project.core.apps import Registry
from project.core.conf import EnvSettings
from project.settings import Settings

ROOT = Path(__file__).resolve().parents[1]


def all_settings() -> dict[str, str]:
    """{name: description} of the site's and the apps' settings."""
    installed = Settings.model_fields["INSTALLED_APPS"].default
    groups: list[type[EnvSettings]] = [
        Settings,
        *(app.settings for app in Registry(installed).apps if app.settings),
    ]
    return {
        f"{group.model_config.get('env_prefix') or ''}{name}": field.description or ""
        for group in groups
        for name, field in group.model_fields.items()
    }


def test_env_example_is_complete_and_says_what_each_setting_does() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {
        line.removeprefix("# ").partition("=")[0]: lines[number - 1] for number, line in enumerate(lines) if "=" in line
    }
    wanted = {name for name in all_settings() if name != "INSTALLED_APPS"}
    assert set(named) == wanted
    for name, comment in named.items():
        assert comment == f"# {all_settings()[name]}", name
