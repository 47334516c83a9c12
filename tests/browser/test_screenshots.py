"""`manage.py screenshots`, really run."""

from pathlib import Path

import pytest

from project.core.management import screenshots
from project.core.management.screenshots import THEMES
from project.core.testing.plugin import Manage


def test_a_page_and_its_refused_form_are_taken_in_both_themes(
    manage: Manage, migrated_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pictures"
    answer = manage("screenshots", "/accounts/profile", "--width", "360", "--out", str(out))
    assert answer.exit_code == 0, answer.output
    shown = [f"{who}{form}" for who in ("member", "staff") for form in ("", "-refused")]
    names = {f"accounts-profile--{name}--360-{theme}.png" for name in shown for theme in THEMES}
    assert {path.name for path in out.iterdir()} == names | {"index.html"}
    assert all(f'src="{name}"' in (out / "index.html").read_text() for name in names)
    assert (tmp_path / "db.sqlite3").read_bytes() == migrated_file.read_bytes()


def test_an_address_without_a_page_is_told(manage: Manage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "_doors", lambda *_: {"visitor": ""})
    answer = manage("screenshots", "/nothing/here", "--out", str(tmp_path))
    assert (answer.exit_code, "There is no page to be seen" in answer.output) == (1, True)
