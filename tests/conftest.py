"""What tests of several rooms share."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ["manage.py", "pyproject.toml", "project", "apps", "templates", "static", "migrations"]
TEST_PARTS = ["tests/__init__.py", "tests/core/__init__.py", "tests/core/probe", "tests/test_crawler.py"]
LONG = [
    f"test_{name}.py" for name in ("docs", "readme", "startproject", "startapp", "accessibility", "rooms", "reload")
]
Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process is alone with it in the end; pytest's order by database stays."""
    items.sort(key=lambda item: item.path.name not in LONG or "backend" in getattr(item, "fixturenames", ()))


SEVERAL = """
import json, os, runpy, sys
from project.settings import Settings
installed = Settings.model_fields["INSTALLED_APPS"].default
for words, code in json.loads(sys.argv[1]):
    sys.argv = words
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if (end.code or 0) != code:
            sys.exit(f"{words} ended with {end.code}")
    if "startapp" in words:  # as the next process finds it in the settings
        installed = [*installed, f"apps.{words[2]}"]
        os.environ["INSTALLED_APPS"] = ",".join(installed)
"""


@pytest.fixture
def site_copy(tmp_path: Path) -> Path:
    """A copy of the site that a test may edit."""
    for part in [*PARTS, *TEST_PARTS]:
        source, target = ROOT / part, tmp_path / "site" / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path / "site"


@pytest.fixture
def site_environment(site_copy: Path) -> dict[str, str]:
    """The environment of a process that runs the copy."""
    return os.environ | {
        "MANAGE_NO_BOOTSTRAP": "1",
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DEBUG": "true",
        "DATABASE_URL": f"sqlite:///{site_copy}/db.sqlite3",
    }


@pytest.fixture
def run_in_copy(site_copy: Path, site_environment: dict[str, str]) -> Run:
    """Run Python's words in the copy: `run_in_copy("manage.py", "migrate")`."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], cwd=site_copy, env=site_environment, capture_output=True, text=True, check=False
        )

    return run


def manage_all(run: Run, *lines: str, ends: Mapping[str, int] | None = None) -> None:
    """What is typed after `manage.py`, line by line, in one process, as each of its own takes a while to start."""
    typed = [(["manage.py", *shlex.split(line)], (ends or {}).get(line, 0)) for line in lines]
    done = run("-c", SEVERAL, json.dumps(typed))
    assert done.returncode == 0, (done.stdout, done.stderr)
