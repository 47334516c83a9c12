"""On a machine without a browser: what needs one says so, and says what to do."""

import os
import subprocess
import sys

import pytest

from project.core.conf import ROOT
from project.core.management import screenshots
from project.core.testing import browsing
from project.core.testing.plugin import Manage


def test_without_chromium_the_tests_say_what_was_not_run_in_their_last_lines() -> None:
    words = [sys.executable, "-m", "pytest", "tests/browser", "tests/test_settings_file.py"]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | {"PATH": ""}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "browser tests were not run: there is no Chromium on this machine." in "\n".join(
        done.stdout.splitlines()[-5:]
    )


def test_screenshots_without_chromium_say_what_to_install(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "CHROMIUM", None)
    answer = manage("screenshots")
    assert (answer.exit_code, "apt-get install chromium" in answer.output) == (1, True)


def test_screenshots_without_playwright_say_what_to_install(manage: Manage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screenshots, "find_spec", {"playwright": None}.get)
    answer = manage("screenshots")
    assert (answer.exit_code, "Playwright is not installed" in answer.output) == (1, True)
