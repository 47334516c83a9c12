"""Settings: what is unsafe stops the start, and says what to change without saying the value."""

import pytest

from project.core.conf import Settings
from project.core.errors import ConfigurationError

GOOD = "abcdefghijklmnopqrstuvwxyz0123456789"


class Plain(Settings):
    model_config = {**Settings.model_config, "env_file": None}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name, raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Plain.load()


def test_without_a_key_the_start_stops_with_advice() -> None:
    with pytest.raises(ConfigurationError, match=r"SECRET_KEY is not set.*\.env"):
        Plain.load()


WEAK = [
    "change-this-secretchange-this-secret",
    "your-secret-key-here-please-change-me",
    "django-insecure-abcdefghijklmnopqrstuvwxyz",
    "0123456789" * 4,
    f" {'x' * 3}abcdefghijklmnopqrstuvwxyz0123456789",
]


@pytest.mark.parametrize("key", [*WEAK, "changethis", "change-this-secret", "x" * 31, "ab" * 40, GOOD[:31]])
def test_a_weak_key_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, SECRET_KEY=key)
    assert "SECRET_KEY is too weak" in str(caught.value)
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", [*WEAK[:-1], "changethis"])
def test_a_weak_former_key_is_refused_too(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, SECRET_KEY=GOOD, SECRET_KEY_FALLBACKS=key)
    assert "SECRET_KEY_FALLBACKS is too weak" in str(caught.value)


def test_production_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, SECRET_KEY=GOOD)
    assert (settings.DEBUG, settings.docs_open, settings.secure) == (False, False, False)
    assert GOOD not in repr(settings)


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("sqlite:///x.sqlite3", "sqlite+aiosqlite:///x.sqlite3"),
    ],
)
def test_one_setting_names_the_database(monkeypatch: pytest.MonkeyPatch, given: str, driver: str) -> None:
    assert load(monkeypatch, SECRET_KEY=GOOD, DATABASE_URL=given).database_url == driver


def test_an_unknown_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, SECRET_KEY=GOOD, DATABASE_URL="mysql://root:hidden@h/d")
    assert "postgresql://" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://u:hidden@h:abc/d", "postgresql://u:hidden@h:99999/d", "postgresql://[::1/d"]
)
def test_an_address_that_cannot_be_read_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, SECRET_KEY=GOOD, DATABASE_URL=url)
    assert "DATABASE_URL has a port or host that cannot be read" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, SECRET_KEY=GOOD, ALLOWED_HOSTS="a.example, .b.example", SECRET_KEY_FALLBACKS=f"{GOOD}x"
    )
    assert settings.ALLOWED_HOSTS == ["a.example", ".b.example"]
    assert settings.keys == [GOOD, f"{GOOD}x"]


@pytest.mark.parametrize("url", ["example.com", "ftp://example.com", "https://example.com/path", "https://"])
def test_a_site_url_is_scheme_and_host(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    with pytest.raises(ConfigurationError, match="SITE_URL"):
        load(monkeypatch, SECRET_KEY=GOOD, SITE_URL=url)
