"""The plug: clashes and mistakes are answered with a sentence that says what to change."""

import sys
from types import ModuleType

import pytest

from project.core.apps import AppConfig, Registry
from project.core.errors import ConfigurationError
from project.core.identity import Principal


def install(monkeypatch: pytest.MonkeyPatch, name: str, config: object) -> str:
    for path in (name, f"{name}.app"):
        module = ModuleType(path)
        module.__file__ = f"{name}/app.py"
        module.__dict__["config"] = config
        module.__path__ = []
        monkeypatch.setitem(sys.modules, path, module)
    return name


async def nobody(*_: object) -> Principal | None:
    return None


def test_two_equal_labels_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [install(monkeypatch, name, AppConfig(label="same")) for name in ("one", "two")]
    with pytest.raises(ConfigurationError, match="label 'same'"):
        Registry(names)


def test_a_reserved_label_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="framework's own"):
        Registry([install(monkeypatch, "one", AppConfig(label="admin"))])


def test_two_answers_to_who_is_asking_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [install(monkeypatch, name, AppConfig(label=name, authenticate=nobody)) for name in ("one", "two")]
    with pytest.raises(ConfigurationError, match="one and two both set authenticate"):
        Registry(names)


def test_an_app_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"apps/nothing/app\.py"):
        Registry(["apps.nothing"])


def test_a_plug_without_a_config_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="config = AppConfig"):
        Registry([install(monkeypatch, "one", None)])


def test_an_unknown_label_gets_the_nearest_match() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'accounts'"):
        Registry(["apps.accounts"]).app("acounts")
