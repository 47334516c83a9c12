"""`startproject` and `core`: a project of its own, what it changed in the framework, and a newer one in its place."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx2
import pytest

from project.core.conf import ROOT
from project.core.testing.plugin import Manage
from tests.conftest import manage_all
from tests.core.conftest import serving, until_it_answers
from tests.test_architecture import tracked

pytestmark = pytest.mark.any_database
Words = Callable[..., "subprocess.CompletedProcess[str]"]
ENVIRON = {name: value for name, value in os.environ.items() if name not in ("SECRET_KEY", "DATABASE_URL", "DEBUG")}
HERE = ENVIRON | {"MANAGE_NO_BOOTSTRAP": "1"}


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=folder, env=HERE, capture_output=True, text=True, check=False)


def must(folder: Path, *words: str) -> str:
    done = run(folder, *words)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def manage_in(folder: Path, *words: str) -> str:
    return must(folder, sys.executable, "manage.py", *words)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project without the apps that come along."""
    folder = tmp_path_factory.mktemp("beside") / "tea-shop"
    manage_in(ROOT, "startproject", str(folder), "--without", "fetcher,realtime")
    return folder


@pytest.fixture
def shop(started: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(started, tmp_path / "shop"))


def test_it_has_a_name_a_key_and_a_history_of_its_own(started: Path) -> None:
    assert 'default="Tea shop"' in (started / "project" / "settings.py").read_text()
    assert 'name = "tea-shop"' in (started / "pyproject.toml").read_text()
    assert (started / "README.md").read_text().startswith("# Tea shop\n")
    key = re.findall(r"^SECRET_KEY=(\S{40,})$", (started / ".env").read_text(), re.M)
    assert len(key) == 1
    assert must(started, "git", "log", "--format=%s") == "Start Tea shop\n"
    assert must(started, "git", "status", "--short") == ""


def test_nothing_is_left_of_the_apps_that_it_does_without(started: Path) -> None:
    files = [started / path for path in must(started, "git", "ls-files").splitlines()]
    told = [path for path in files if re.search(r"fetcher|realtime", f"{path}{path.read_text()}", re.I)]
    assert not [path for path in told if path.suffix != ".lock"]


def test_all_that_is_about_the_framework_stays(started: Path) -> None:
    framework = ("project/", "tests/core/", "tests/accounts/", "tests/browser/")
    ours = [path.relative_to(ROOT).as_posix() for path in tracked()]
    gone = {path for path in ours if path.startswith(framework) and not (started / path).exists()}
    assert gone == {"project/docs/seed.md", "tests/browser/test_fetcher.py", "tests/browser/test_rooms.py"}


async def test_its_commands_work_and_so_does_startapp(shop: Path) -> None:
    manage_in(shop, "startapp", "blog", "Post", "title:str", "body:text")
    manage_all(partial(run, shop, sys.executable), "migrate", "makemigrations --check", "check")
    quick = ["tests/blog", "tests/test_settings_file.py", "tests/test_architecture.py", "tests/test_routes.py"]
    manage_in(shop, "test", *quick, "--backend", "sqlite")
    with serving(shop, HERE, "--noreload") as (url, _):
        async with httpx2.AsyncClient(base_url=url) as client:
            await until_it_answers(client)
            home = (await client.get("/")).text
    assert "Tea shop" in home
    assert "/blog/posts" in home


def test_core_tells_what_was_changed_in_it(shop: Path) -> None:
    assert "unchanged" in manage_in(shop, "core")
    changed, gone = shop / "project" / "core" / "pool.py", shop / "project" / "core" / "closing.py"
    changed.write_text(changed.read_text() + "MINE = 1\n")
    (shop / "tests" / "core" / "test_mine.py").write_text("MINE = 2\n")
    gone.unlink()
    told = must(shop, sys.executable, "-c", CORE, "--diff")
    assert "3 files changed" in told
    for line in ("changed  project/core/pool.py", "+MINE = 1", "added    tests/core/test_mine.py", "+MINE = 2"):
        assert line in told
    assert "removed  project/core/closing.py" in told
    shutil.rmtree(shop / ".git")
    assert "the original is not in this project's git" in must(shop, sys.executable, "-c", CORE, "--diff")
    assert "+MINE = 1" in must(shop, sys.executable, "-c", CORE, "--diff", "--from", str(ROOT))


CORE = "import sys; from project.core.management.core import core; core(sys.argv[1:])"
"""The command where manage.py cannot start any more, since a part of the framework is gone."""


def test_core_is_upgraded_and_keeps_what_is_ones_own(shop: Path, started: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(started, tmp_path / "newer"))
    face = newer / "project" / "core" / "__init__.py"
    face.write_text(re.sub(r'__version__ = ".*"', '__version__ = "9.9.9"', face.read_text()))
    (newer / "project" / "core" / "fresh.py").write_text('"""New."""\n')
    (newer / "project" / "core" / "closing.py").rename(newer / "project" / "core" / "ending.py")
    text = (newer / "pyproject.toml").read_text()
    (newer / "pyproject.toml").write_text(text.replace("dependencies = [", 'dependencies = [\n    "newthing>=1",', 1))
    mine, own = shop / "project" / "core" / "pool.py", shop / "apps" / "accounts" / "conf.py"
    original = mine.read_text()
    mine.write_text(original + "MINE = 1\n")
    own.write_text(own.read_text() + "MINE = 1\n")
    refused = run(shop, sys.executable, "manage.py", "core", "--upgrade", str(newer))
    assert refused.returncode == 1
    assert "project/core/pool.py" in refused.stderr
    assert not (shop / "project" / "core" / "fresh.py").exists()
    told = manage_in(shop, "core", "--upgrade", str(newer), "--force")
    assert "version 9.9.9" in told
    assert "Add newthing>=1 to pyproject.toml" in told
    assert mine.read_text() == original
    assert own.read_text().endswith("MINE = 1\n")
    assert not (shop / "project" / "core" / "closing.py").exists()
    assert not list(shop.glob(".upgrade*"))
    assert "version 9.9.9: unchanged" in must(shop, sys.executable, "-c", CORE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{full}"], "is there already, and not empty"),
        ([str(ROOT / "shop")], "stands beside this one"),
        (["{tmp}/shop", "--without", "accounts"], "No project can do without accounts"),
        (["{tmp}/shop", "--without", "fetchr"], "There is no app 'fetchr' to leave out. Did you mean 'fetcher'?"),
        (["{tmp}/shop", "--name", 'a"b'], "cannot be called"),
    ],
)
def test_what_cannot_be_is_answered_with_advice(manage: Manage, tmp_path: Path, words: list[str], said: str) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    answer = manage("startproject", *(word.format(full=full, tmp=tmp_path) for word in words))
    assert said in answer.output.replace("\n", " ")
    assert answer.exit_code in (1, 2)
    assert not (tmp_path / "shop").exists()


def test_a_source_without_git_will_do(started: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(started, tmp_path / "source", ignore=shutil.ignore_patterns(".git")))
    manage_in(source, "startproject", str(tmp_path / "other"), "--name", "Other")
    assert {path.name for path in (tmp_path / "other").iterdir()} == {path.name for path in started.iterdir()} - {
        ".data"
    }
