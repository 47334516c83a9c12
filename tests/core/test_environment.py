"""A stranger's first command: on a bare clone, twice at once, cut off, offline, in their own environment."""

import ast
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from project.core.management.environment import ROOT, dotenv, installer
from project.core.management.environment.packages import lacking
from project.core.management.environment.voice import SetupStoppedError

# Plays uv: "installs" what a lock pins by making the folders that tell of it, or fails as STUB says.
STUB_UV = """\
#!{python}
import os, pathlib, re, signal, sys
words, here = sys.argv[1:], pathlib.Path({here!r})
if words == ["--version"]:
    sys.exit()
with (here / "log").open("a") as log:
    print(*words, file=log)
plan = os.environ.get("STUB", "")
if plan == "wait":
    signal.alarm(30)
    (here / "begun").open("w").close()   # each pipe blocks until the test opens its other end
    (here / "go on").open().close()
elif plan:
    sys.exit(plan)
if "--target" in words:
    static = pathlib.Path(words[words.index("--target") + 1], "django_htmx", "static", "django_htmx")
    (static / "ext").mkdir(parents=True)
    for name in ("htmx-2", "htmx-4", "ext/hx-sse-2", "ext/hx-ws-2", "ext/hx-preload-2", "ext/hx-head-2"):
        (static / (name + ".min.js")).write_text(name)
    sys.exit()
site = next(pathlib.Path(words[words.index("--python") + 1]).parents[1].glob("lib/python*/site-packages"))
if words[1] == "install":
    for name, version in re.findall("^(.+)==([0-9.]+)", pathlib.Path(words[-1]).read_text(), re.M):
        (site / (name.replace("-", "_") + "-" + version + ".dist-info")).mkdir(exist_ok=True)
else:
    for name in words[4:]:
        next(site.glob(name.replace("-", "_") + "-*.dist-info")).rmdir()
"""
STUB_MAIN = """\
import sys

def main(settings, words):
    if "broken" in words:
        import made_up_base
    print(sys.prefix, *words)
"""


class Clone:
    """A small copy of the project, with made-up packages, and a PATH with nothing but a pretended uv."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin = folder / "clone", folder / "bin"
        self.venv, self.locks = self.root / ".venv", self.root / "project" / "requirements"
        management = self.root / "project" / "core" / "management"
        shutil.copytree(ROOT / "project" / "core" / "management" / "environment", management / "environment")
        shutil.copy(ROOT / "manage.py", self.root)
        for package in (self.root / "project", self.root / "project" / "core"):
            (package / "__init__.py").touch()
        (management / "__init__.py").write_text(STUB_MAIN)
        (self.root / "pyproject.toml").write_text(
            '[project]\ndependencies = ["made-up-base>=1.2"]\n'
            '[project.optional-dependencies]\ndev = ["made-up-dev[extra]>=2"]\n'
        )
        self.locks.mkdir()
        (self.locks / "base.lock").write_text("made-up-base==1.2\n")
        (self.locks / "dev.lock").write_text("made-up-base==1.2\nmade-up-dev==2.0\n")
        (self.locks / "assets.lock").write_text("django-htmx==1\n")
        self.bin.mkdir()
        uv = self.bin / "uv"
        uv.write_text(STUB_UV.format(python=sys.executable, here=str(folder)))
        uv.chmod(0o755)
        self.begun, self.go_on = folder / "begun", folder / "go on"
        os.mkfifo(self.begun)
        os.mkfifo(self.go_on)
        self._log = folder / "log"

    def start(self, *words: str, python: str = "", **environ: str) -> "subprocess.Popen[str]":
        """Type `manage.py words`, with the Python under our own environment unless another is named."""
        python = python or sys._base_executable  # type: ignore[attr-defined]
        strange = {
            "VIRTUAL_ENV",
            "PYTHONPATH",
            "SECRET_KEY",
            "DATABASE_URL",
            "DATA_DIR",
            "MANAGE_NO_BOOTSTRAP",
        }
        kept = {name: value for name, value in os.environ.items() if name not in strange}
        return subprocess.Popen(
            [python, str(self.root / "manage.py"), *words],
            env=kept | {"PATH": str(self.bin)} | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, python: str = "", **environ: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*words, python=python, **environ) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def calls(self) -> list[str]:
        """What uv was made to install or uninstall, without where that is."""
        text = self._log.read_text() if self._log.exists() else ""
        found = re.findall(r"^pip (install) .*/(\S+)$|^pip (uninstall) --python \S+ (.*)$", text, re.MULTILINE)
        return [" ".join(filter(None, groups)) for groups in found]

    def packages(self) -> set[str]:
        return {found.name.removesuffix(".dist-info") for found in self.venv.glob("lib/*/*/*.dist-info")}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


@pytest.fixture
def other_python(tmp_path: Path) -> Path:
    """The Python of a virtual environment that somebody made by hand and activated."""
    base = sys._base_executable  # type: ignore[attr-defined]
    subprocess.run([base, "-m", "venv", "--without-pip", tmp_path / "own"], check=True)
    return tmp_path / "own" / "bin" / "python"


def said_by(start: "subprocess.Popen[str]") -> str:
    """The next line it says, as soon as it does."""
    assert start.stderr
    return start.stderr.readline()


def have(python: Path, *packages: str) -> None:
    for package in packages:
        next(python.parents[1].glob("lib/python*/site-packages")).joinpath(f"{package}.dist-info").mkdir()


def test_first_command_on_a_bare_clone_runs_in_an_environment_it_has_made(clone: Clone) -> None:
    done = clone.run("migrate", "--fake", "blog")
    assert (done.returncode, done.stdout.strip()) == (0, f"{clone.venv} migrate --fake blog")
    assert "1 packages of base.lock, about 26 MB" in done.stderr
    assert clone.packages() == {"made_up_base-1.2"}


def test_later_starts_install_nothing_and_say_nothing(clone: Clone) -> None:
    clone.run("check")
    done = clone.run("check")
    assert (done.returncode, done.stderr, clone.calls()) == (0, "", ["install base.lock"])


def test_tests_bring_their_tools_which_then_stay(clone: Clone) -> None:
    clone.run("check")
    assert "Adding the tools for tests to .venv: 1 packages" in clone.run("test").stderr
    (clone.locks / "base.lock").write_text("made-up-base==1.3\n")
    (clone.locks / "dev.lock").write_text("made-up-base==1.3\nmade-up-dev==2.0\n")
    assert "dev.lock has changed" in clone.run("check").stderr
    assert clone.calls() == [
        "install base.lock",
        "install dev.lock",
        "install assets.lock",
        "install dev.lock",
    ]


def test_changed_lock_is_followed_and_what_it_dropped_goes(clone: Clone) -> None:
    (clone.locks / "base.lock").write_text("made-up-base==1.2\nmade-up-old==1.0\n")
    clone.run("check")
    (clone.locks / "base.lock").write_text("made-up-base==1.2\nmade-up-new==1.0\n")
    assert "base.lock has changed" in clone.run("check").stderr
    assert clone.packages() == {"made_up_base-1.2", "made_up_new-1.0"}
    assert clone.calls()[-1] == "uninstall made-up-old"


@pytest.mark.parametrize(
    ("installer_says", "sentence"),
    [
        ("error: Failed to fetch: something", "The package index cannot be reached"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "does not match its hash in base.lock"),
        ("OSError: No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for x", "no ready-made package of base.lock"),
        ("error: the moon is in the wrong house", "said: error: the moon is in the wrong house"),
    ],
)
def test_failed_install_is_one_sentence_and_never_used(clone: Clone, installer_says: str, sentence: str) -> None:
    failed = clone.run("check", STUB=installer_says)
    _, said = failed.stderr.splitlines()
    assert (failed.returncode, failed.stdout) == (1, "")
    assert sentence in said
    again = clone.run("check")
    assert again.returncode == 0
    assert "again, as that was not finished" in again.stderr


def test_failed_tools_for_tests_leave_the_site_working(clone: Clone) -> None:
    clone.run("check")
    assert clone.run("test", STUB="error: Failed to fetch").returncode == 1
    done = clone.run("check")
    assert (done.returncode, done.stderr) == (0, "")


def test_second_start_waits_for_the_first_and_installs_nothing(clone: Clone) -> None:
    first = clone.start("migrate", STUB="wait")
    clone.begun.open().close()
    second = clone.start("check")
    assert "Another start is setting up .venv" in said_by(second)
    clone.go_on.open("w").close()
    assert str(clone.venv) in first.communicate(timeout=60)[0]
    assert str(clone.venv) in second.communicate(timeout=60)[0]
    assert clone.calls() == ["install base.lock"]


def test_killed_start_is_repaired_once_its_installer_has_ended(clone: Clone) -> None:
    first = clone.start("check", STUB="wait")
    clone.begun.open().close()
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    second = clone.start("check")
    assert "Another start" in said_by(second)  # the orphan still writes
    clone.go_on.open("w").close()
    out, err = second.communicate(timeout=60)
    assert str(clone.venv) in out
    assert "again, as that was not finished" in err


def test_vanished_interpreter_means_a_new_environment(clone: Clone) -> None:
    clone.run("check")
    (clone.venv / "bin" / "python").unlink()
    assert str(clone.venv) in clone.run("check").stdout


def test_active_environment_without_the_packages_is_told_what_to_type(clone: Clone, other_python: Path) -> None:
    done = clone.run("runserver", python=str(other_python))
    assert done.returncode == 1
    assert re.fullmatch(r'\S+ lacks made-up-base: type .*pip install -e "\.\[dev]" .*\n', done.stderr)
    assert not clone.venv.exists()
    assert not (clone.root / ".env").exists()


def test_environment_that_has_the_packages_is_used_as_it_is(clone: Clone, other_python: Path) -> None:
    have(other_python, "made_up_base-1.10.1")
    done = clone.run("check", python=str(other_python))
    assert done.stdout.split() == [str(other_python.parents[1]), "check"]
    assert clone.run("test", python=str(other_python)).returncode == 1  # without the tools for tests
    have(other_python, "made_up_dev-2.0")
    assert clone.run("test", python=str(other_python)).returncode == 0
    assert not clone.venv.exists()


def test_venv_that_somebody_else_made_is_used_or_left_alone(clone: Clone, other_python: Path) -> None:
    shutil.copytree(other_python.parents[1], clone.venv, symlinks=True)
    lacking_it = clone.run("check")
    assert lacking_it.returncode == 1
    assert "which somebody else made, lacks made-up-base" in lacking_it.stderr
    have(clone.venv / "bin" / "python", "made_up_base-1.2")
    assert clone.run("check").stdout.split() == [str(clone.venv), "check"]
    assert clone.calls() == []


def test_bootstrap_can_be_switched_off(clone: Clone) -> None:
    done = clone.run("check", MANAGE_NO_BOOTSTRAP="1")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in clone.root.iterdir()} == {"manage.py", "project", "pyproject.toml"}
    broken = clone.run("broken", MANAGE_NO_BOOTSTRAP="1")
    assert (broken.returncode, len(broken.stderr.splitlines())) == (1, 1)
    assert "lacks made-up-base" in broken.stderr


def test_package_that_no_lock_knows_is_told_as_such(clone: Clone) -> None:
    clone.run("check")
    (clone.root / "pyproject.toml").write_text('[project]\ndependencies = ["made-up-newer"]\n')
    assert "wants made-up-newer, but the locks do not" in clone.run("broken").stderr


@pytest.mark.parametrize("words", [(), ("help",), ("--help",), ("runserver", "--help")])
def test_asking_for_help_on_a_bare_clone_installs_nothing(clone: Clone, words: tuple[str, ...]) -> None:
    done = clone.run(*words)
    assert (done.returncode, done.stderr, clone.venv.exists()) == (0, "", False)
    assert "manage.py runserver" in done.stdout


def test_fast_path_imports_nothing_slow(clone: Clone) -> None:
    slow = ("subprocess", "tomllib", "importlib.metadata", "shutil", "secrets", "asyncio", "click")
    code = f"import sys, project.core.management.environment; print([m for m in {slow} if m in sys.modules])"
    base = sys._base_executable  # type: ignore[attr-defined]
    done = subprocess.run([base, "-S", "-c", code], cwd=clone.root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["runserver", "migrate", "createsuperuser", "test", "check", "shell"])
def test_interactive_command_writes_a_development_env_for_its_owner_only(clone: Clone, command: str) -> None:
    file = clone.root / ".env"
    assert "Wrote .env" in clone.run(command).stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert re.search(r"^DEBUG=true\nSECRET_KEY=[\w-]{50,}$", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "environ"),
    [
        *(("serve", {}), ("worker", {}), ("collectstatic", {})),
        *(("check", {"SECRET_KEY": "k"}), ("check", {"DATABASE_URL": "u"})),
    ],
)
def test_env_is_not_written_in_production(clone: Clone, command: str, environ: dict[str, str]) -> None:
    assert clone.run(command, **environ).returncode == 0
    assert not (clone.root / ".env").exists()


def test_env_that_stands_is_kept_also_by_the_slower_of_two(tmp_path: Path) -> None:
    assert dotenv.write(tmp_path) is True
    written = (tmp_path / ".env").read_text()
    assert dotenv.write(tmp_path) is False
    assert (tmp_path / ".env").read_text() == written
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        *(("", ".data"), ("#DATA_DIR=x", ".data"), ("DATA_DIR=var", "var")),
        ("export DATA_DIR = 'my data' # here", "my data"),
    ],
)
def test_data_dir_is_read_from_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, place: str) -> None:
    monkeypatch.delenv("DATA_DIR", raising=False)
    (tmp_path / ".env").write_text(f"DEBUG=true\n{line}\n")
    assert dotenv.data_dir(tmp_path) == tmp_path / place
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    assert dotenv.data_dir(tmp_path) == Path("/elsewhere")


def test_pages_bring_htmx_and_nothing_else_of_its_wheel(clone: Clone) -> None:
    clone.run("runserver")
    vendor = clone.root / ".data" / "vendor"
    files = {str(path.relative_to(vendor)) for path in vendor.rglob("*.js")}
    assert files == {"htmx.min.js", "ext/sse.js", "ext/ws.js", "ext/preload.js", "ext/head.js"}
    assert (vendor / "htmx.min.js").read_text() == "htmx-2"
    clone.run("runserver")
    (clone.locks / "assets.lock").write_text("django-htmx==2\n")
    clone.run("runserver")
    assert clone.calls() == ["install base.lock", "install assets.lock", "install assets.lock"]
    assert {path.name for path in vendor.parent.iterdir()} == {"vendor", "vendor.lock"}


def test_two_starts_fetch_htmx_once(clone: Clone) -> None:
    clone.run("check")
    first = clone.start("runserver", STUB="wait")
    clone.begun.open().close()
    second = clone.start("runserver")
    assert "Fetching htmx" in said_by(second)
    assert "Another start is fetching htmx" in said_by(second)
    clone.go_on.open("w").close()
    assert all(str(clone.venv) in start.communicate(timeout=60)[0] for start in (first, second))
    assert clone.calls() == ["install base.lock", "install assets.lock"]


def test_commands_without_pages_do_not_fetch_htmx(clone: Clone) -> None:
    clone.run("migrate")
    assert not (clone.root / ".data").exists()


def test_site_starts_without_htmx_and_keeps_the_old_one(clone: Clone) -> None:
    clone.run("runserver")
    (clone.locks / "assets.lock").write_text("django-htmx==2\n")
    done = clone.run("runserver", STUB="error: Failed to fetch")
    assert done.returncode == 0
    assert "do without htmx until the next start" in done.stderr
    assert (clone.root / ".data" / "vendor" / "htmx.min.js").exists()


def test_installer_is_uv_or_the_nearest_pip_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    works: set[str] = set()
    monkeypatch.setattr(installer, "runs", lambda *command: not works.isdisjoint(command))
    monkeypatch.setattr(installer, "base_python", lambda: "base")
    monkeypatch.setattr("shutil.which", lambda name: name)
    python = Path("mine")
    with pytest.raises(SetupStoppedError, match="apt install python3-venv"):
        installer.find_installer(python, may_add_pip=True)
    works = {"pip3"}
    assert installer.find_installer(python)("install", "x") == ["pip3", "--python", "mine", "install", "x"]
    works = {"base"}
    assert installer.find_installer(python)("install")[:4] == ["base", "-I", "-m", "pip"]
    works = {"ensurepip"}
    assert installer.find_installer(python, may_add_pip=True)("install")[0] == "mine"
    works = {"uv"}
    assert installer.find_installer(python)("install") == ["uv", "pip", "install", "--python", "mine"]


def test_lacking_is_what_is_absent_or_too_old(tmp_path: Path) -> None:
    wanted = '["Made.Up>=1.10", "older>=2", "there[x]", "elsewhere>=1; sys_platform == \'x\'", "absent"]'
    (tmp_path / "pyproject.toml").write_text(f"[project]\ndependencies = {wanted}\n")
    for folder in ("made_up-1.10.0.dist-info", "older-1.99.dist-info", "There-0.1-py3.11.egg-info"):
        (tmp_path / folder).mkdir()
    assert lacking(tmp_path, [str(tmp_path), "/nowhere"], dev=False) == ["older", "absent"]


def test_manage_can_be_read_by_an_old_python_which_it_refuses() -> None:
    source = (ROOT / "manage.py").read_text()
    ast.parse(source, feature_version=(3, 7))
    assert len(source.splitlines()) <= 40
    patched = source.replace("import sys\n", "import sys; sys.version_info = (3, 8)\n", 1)
    done = subprocess.run([sys.executable, "-c", patched, "check"], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "needs Python 3.11" in done.stderr
