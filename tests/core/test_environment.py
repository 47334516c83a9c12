"""A stranger's first command: on a bare clone, twice at once, cut off, offline, in their own environment."""

import ast
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from project.core.management.environment import ROOT, dotenv, installer, venv

Start = subprocess.Popen[str]
# Plays uv: "installs" a pin of a lock as a file of that name, waits for the test, or fails as STUB says.
STUB_UV = """\
#!{python}
import os, pathlib, signal, sys
words, here, plan = sys.argv[1:], pathlib.Path({here!r}), os.environ.get("STUB", "")
if words[-1] == "--help":
    sys.exit()
with (here / "log").open("a") as log:
    print(words[1], pathlib.Path(words[-1]).name, file=log)
if plan == "wait":
    signal.alarm(30)
    (here / "begun").open("w").close()  # each pipe blocks until the test opens its other end
    (here / "go on").open().close()
elif plan:
    sys.exit(plan)
site = next(pathlib.Path(words[words.index("--python") + 1]).parents[1].glob("lib/python*/site-packages"))
if "--target" in words:
    static = pathlib.Path(words[words.index("--target") + 1], "django_htmx/static/django_htmx")
    (static / "ext").mkdir(parents=True)
    for name in ("htmx-2", "htmx-4", "ext/hx-sse-2", "ext/hx-ws-2", "ext/hx-preload-2", "ext/hx-head-2"):
        (static / (name + ".min.js")).write_text(name)
elif words[1] == "install":
    [(site / pin).touch() for pin in pathlib.Path(words[-1]).read_text().split()]
else:
    next(site.glob(words[-1] + "==*")).unlink()
"""
STUB_MAIN = """\
def main(settings, words):
    sys = __import__("made_up_base" if "broken" in words else "sys")
    print(sys.prefix, *words)
"""
PYPROJECT = '[project]\ndependencies = ["made-up-base>=1.2"]\noptional-dependencies.dev = ["made-up-dev[extra]>=2"]\n'
OURS = {"VIRTUAL_ENV", "PYTHONPATH", "SECRET_KEY", "DATABASE_URL", "DATA_DIR", "MANAGE_NO_BOOTSTRAP"}


class Clone:
    """A small copy of the project, with made-up packages, and a PATH with nothing but a pretended uv."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "clone"
        self.venv, self.env, self.data = self.root / ".venv", self.root / ".env", self.root / ".data"
        management = Path("project/core/management")
        shutil.copytree(ROOT / management / "environment", self.root / management / "environment")
        shutil.copy(ROOT / "manage.py", self.root)
        (self.root / management / "__init__.py").write_text(STUB_MAIN)
        (self.root / "pyproject.toml").write_text(PYPROJECT)
        (self.root / "project/requirements").mkdir()
        self.lock(base="made-up-base==1.2", dev="made-up-base==1.2 made-up-dev==2.0", assets="django-htmx==1")
        (folder / "bin").mkdir()
        (folder / "bin/uv").write_text(STUB_UV.format(python=sys.executable, here=str(folder)))
        (folder / "bin/uv").chmod(0o755)
        (folder / "log").touch()
        os.mkfifo(folder / "begun")
        os.mkfifo(folder / "go on")

    def lock(self, **pins: str) -> None:
        for name, text in pins.items():
            (self.root / f"project/requirements/{name}.lock").write_text(text.replace(" ", "\n") + "\n")

    def start(self, *words: str, python: Path = Path(installer.BASE_PYTHON), **settings: str) -> Start:
        """Type `manage.py words`, with the Python under our own environment unless another is named."""
        environ = {name: value for name, value in os.environ.items() if name not in OURS} | settings
        environ["PATH"] = str(self.folder / "bin")
        command, pipe = [str(python), str(self.root / "manage.py"), *words], subprocess.PIPE
        return Start(command, env=environ, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, python: Path = Path(installer.BASE_PYTHON), **settings: str) -> tuple[int, str, str]:
        start = self.start(*words, python=python, **settings)
        out, said = start.communicate(timeout=60)
        return start.returncode, out.strip(), said

    def start_and_wait_for_uv(self, *words: str) -> Start:
        start = self.start(*words, STUB="wait")
        (self.folder / "begun").open().close()
        return start

    def let_uv_go_on(self, *starts: Start) -> list[str]:
        """What `starts` say when they have ended, each in the .venv."""
        (self.folder / "go on").open("w").close()
        ended = [start.communicate(timeout=60) for start in starts]
        assert all(out.startswith(str(self.venv)) for out, _ in ended)
        return [said for _, said in ended]

    def calls(self) -> list[str]:
        return (self.folder / "log").read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def waits_for_another(start: Start) -> bool:
    assert start.stderr
    return any("Another start is " in line for line in start.stderr)


def have(python: Path, name: str, version: str) -> None:
    folder = next(python.parents[1].glob("lib/python*/site-packages")) / f"{name}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")


def test_first_command_but_help_makes_the_environment_that_later_ones_use(clone: Clone) -> None:
    for words in ([], ["help"], ["runserver", "--help"]):
        code, out, said = clone.run(*words)
        assert (code, "manage.py runserver" in out, said, clone.venv.exists()) == (0, True, "", False)
    code, out, said = clone.run("migrate", "--fake", "blog")
    assert (code, out) == (0, f"{clone.venv} migrate --fake blog")
    assert "Setting up .venv: 1 packages of base.lock, about 26 MB" in said
    assert not clone.data.exists()
    assert clone.run("check") == (0, f"{clone.venv} check", "")
    assert clone.calls() == ["install base.lock"]


def test_terminal_sees_how_far_it_is(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    talk = "print('Collecting htmx'); import time; time.sleep(0.7)"
    installer.install(ROOT / "project/requirements/assets.lock", [sys.executable, "-uc", talk])
    assert capsys.readouterr().err.count("fetching 1 of 1, ") > 1


def test_changed_lock_is_followed_and_the_tools_for_tests_stay(clone: Clone) -> None:
    clone.lock(base="made-up-base==1.2 made-up-old==1.0")
    clone.run("check")
    clone.lock(base="made-up-base==1.2 made-up-new==1.0", dev="made-up-base==1.2 made-up-new==1.0 made-up-dev==2.0")
    assert "Updating .venv: 1 packages of base.lock, about 13 MB" in clone.run("check")[2]
    packages = {path.name for path in clone.venv.glob("lib/*/site-packages/*==*")}
    assert packages == {"made-up-base==1.2", "made-up-new==1.0"}
    assert clone.run("test", STUB="error: Failed to fetch")[0] == 1
    assert clone.run("check") == (0, f"{clone.venv} check", "")  # the site still works
    assert "Updating .venv: 1 packages of dev.lock, about 105 MB" in clone.run("test")[2]
    clone.lock(base="made-up-base==1.3", dev="made-up-base==1.3 made-up-dev==2.0")
    assert "Updating .venv: 1 packages of dev.lock, about 66 MB" in clone.run("check")[2]


def test_failed_install_is_one_sentence_and_never_used(clone: Clone) -> None:
    for plan, sentence in {
        "error: Failed to fetch: something": "The package index cannot be reached",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES": "does not match its hash in base.lock",
        "OSError: No space left on device": "The disk is full",
        "ERROR: No matching distribution found for x": "no ready-made package of base.lock",
        "error: the moon is in the wrong house\nbye": "said: error: the moon is in the wrong house",
    }.items():
        code, out, said = clone.run("check", STUB=plan)
        assert (code, out, len(said.splitlines())) == (1, "", 2)
        assert sentence in said
    assert "Setting up .venv again: " in clone.run("check")[2]


def test_second_start_waits_for_the_first_or_repairs_what_its_kill_left(clone: Clone) -> None:
    for pin in ("made-up-base==1.2", "made-up-base==1.3"):
        clone.lock(base=pin)
        killed = clone.start_and_wait_for_uv("check")
        killed.kill()
        killed.communicate(timeout=60)
        second = clone.start("check")
        assert waits_for_another(second)  # as the orphan still writes
        assert "Setting up .venv again" in clone.let_uv_go_on(second)[0]
    clone.lock(base="made-up-base==1.4")
    for command in ("migrate", "runserver"):
        first, second = clone.start_and_wait_for_uv(command), clone.start(command)
        assert waits_for_another(second)
        clone.let_uv_go_on(first, second)
    assert clone.calls() == ["install base.lock"] * 5 + ["install assets.lock"]


@pytest.mark.parametrize("lost", ["bin/python", "pyvenv.cfg", "manage.stamp"])
def test_damaged_environment_or_that_of_another_python_is_made_again(clone: Clone, lost: str) -> None:
    clone.run("check")
    (clone.venv / lost).rename(clone.venv / "lost")
    if lost == "manage.stamp":
        (clone.venv / lost).write_text((clone.venv / "lost").read_text().replace("cpython", "other"))
    assert clone.run("check")[1] == f"{clone.venv} check"
    assert clone.calls() == ["install base.lock"] * 2


def test_environment_of_somebody_else_is_used_as_it_is_or_told_what_to_type(clone: Clone) -> None:
    other = clone.folder / "own/bin/python"
    subprocess.run([installer.BASE_PYTHON, "-m", "venv", "--without-pip", clone.folder / "own"], check=True)
    for done in (clone.run("check", python=other), clone.run("check", VIRTUAL_ENV=str(clone.folder / "own"))):
        assert re.fullmatch(r'\S+ lacks made-up-base: type .*pip install -e "\.\[dev]" .*\n', done[2])
    assert not clone.env.exists()
    have(other, "made_up_base", "1.10.1")
    assert clone.run("check", python=other)[:2] == (0, f"{clone.folder}/own check")
    assert "lacks made-up-dev" in clone.run("test", python=other)[2]
    assert not clone.venv.exists()
    shutil.copytree(clone.folder / "own", clone.venv, symlinks=True)
    assert clone.run("check")[1] == f"{clone.venv} check"
    assert clone.run("test")[2].startswith(f"{clone.venv}/bin/python lacks made-up-dev")
    have(other, "made_up_dev", "2.0")
    assert clone.run("test", python=other)[0] == 0
    (clone.venv / "pyvenv.cfg").unlink()
    assert "lacks made-up-base" in clone.run("check")[2]  # and does not enter it again and again
    assert clone.calls() == ["install assets.lock"]


def test_bootstrap_can_be_switched_off_and_a_failed_import_says_what_lacks(clone: Clone) -> None:
    assert clone.run("check", MANAGE_NO_BOOTSTRAP="1")[::2] == (0, "")
    assert {path.name for path in clone.root.iterdir()} == {"manage.py", "project", "pyproject.toml"}
    code, _, said = clone.run("broken", MANAGE_NO_BOOTSTRAP="1")
    assert (code, len(said.splitlines())) == (1, 1)
    assert "lacks made-up-base" in said
    clone.run("check")
    (clone.root / "pyproject.toml").write_text(PYPROJECT.replace("base", "newer"))
    assert ".venv lacks made-up-newer: type python3 manage.py lock" in clone.run("broken")[2]


def test_fast_path_imports_nothing_slow(clone: Clone) -> None:
    slow = ("subprocess", "tomllib", "importlib.metadata", "shutil", "secrets", "asyncio", "click")
    code = f"import sys, project.core.management.environment; sys.exit(any(m in sys.modules for m in {slow}))"
    subprocess.run([installer.BASE_PYTHON, "-S", "-c", code], cwd=clone.root, check=True)


def test_development_env_is_written_for_its_owner_only_and_never_in_production(clone: Clone) -> None:
    clone.run("check", SECRET_KEY="k")
    clone.run("check", DATABASE_URL="u")
    for command in ("serve", "worker", "collectstatic"):
        assert clone.run(command) == (0, f"{clone.venv} {command}", "")
    for command in ("runserver", "migrate", "createsuperuser", "test", "check", "shell"):
        assert not clone.env.exists()
        assert "Wrote .env" in clone.run(command)[2]
        assert stat.S_IMODE(clone.env.stat().st_mode) == 0o600
        assert re.search(r"^DEBUG=true\nSECRET_KEY=[\w-]{50,}$", clone.env.read_text(), re.MULTILINE)
        clone.env.unlink()


def test_env_that_stands_is_kept_also_by_the_slower_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    assert dotenv.write(tmp_path)
    written = (tmp_path / ".env").read_text()
    assert not dotenv.write(tmp_path)
    monkeypatch.setattr("os.path.lexists", lambda path: False)
    assert not dotenv.write(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {".env": written}


def test_data_dir_is_read_from_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})
    for line, place in {"": ".data", "#DATA_DIR=x": ".data", "export DATA_DIR = 'my data' # here": "my data"}.items():
        (tmp_path / ".env").write_text(f"DEBUG=true\n{line}\n")
        assert dotenv.data_dir(tmp_path) == tmp_path / place
    monkeypatch.setenv("DATA_DIR", "/elsewhere")
    assert dotenv.data_dir(tmp_path) == Path("/elsewhere")


def test_pages_bring_htmx_which_stays_until_a_newer_one_is_whole(clone: Clone) -> None:
    clone.run("runserver")
    vendor = clone.data / "vendor"
    files = {str(path.relative_to(vendor)) for path in vendor.rglob("*.js")}
    assert files == {"htmx.min.js", "ext/sse.js", "ext/ws.js", "ext/preload.js", "ext/head.js"}
    assert (vendor / "htmx.min.js").read_text() == "htmx-2"
    clone.run("runserver")
    clone.lock(assets="django-htmx==2")
    code, _, said = clone.run("runserver", STUB="error: Failed to fetch")
    assert (code, "do without htmx until the next start" in said) == (0, True)
    assert (vendor / "htmx.min.js").exists()
    assert "do without" not in clone.run("runserver")[2]
    assert clone.calls() == ["install base.lock", *["install assets.lock"] * 3]
    assert {path.name for path in clone.data.iterdir()} == {"vendor", "vendor.lock"}


def test_installer_is_uv_or_the_nearest_pip_or_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "BASE_PYTHON", "base")
    for tool, words in (("pip3", "pip3 --python"), ("base", "base -I"), ("ensurepip", "my -I"), ("uv", "uv pip")):
        monkeypatch.setattr(installer, "runs", lambda *command, tool=tool: tool in command)
        assert installer.find_installer(Path("my"), may_add_pip=True)[:2] == words.split()
    monkeypatch.setattr(installer, "runs", lambda *command: "ensurepip" in command)
    with pytest.raises(installer.SetupStoppedError, match="apt install python3-venv"):
        installer.find_installer(Path("somebody's"))


def test_lacking_is_what_is_absent_or_too_old(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = '["Made.Up>=1.10", "older>=2", "there[x]", "elsewhere>=1; sys_platform == \'x\'", "absent"]'
    (clone.root / "pyproject.toml").write_text(f"[project]\ndependencies = {wanted}\n")
    (clone.venv / "lib/python3/site-packages").mkdir(parents=True)
    for name, version in {"made_up": "1.10.0", "older": "1.99", "There": "0.1"}.items():
        have(clone.venv / "bin/python", name, version)
    monkeypatch.syspath_prepend(clone.venv / "lib/python3/site-packages")
    assert venv.lacking(clone.root, dev=False) == ["older", "absent"]


def test_manage_can_be_read_by_an_old_python_which_it_refuses() -> None:
    source = (ROOT / "manage.py").read_text()
    ast.parse(source, feature_version=(3, 7))
    patched = source.replace("import sys\n", "import sys; sys.version_info = (3, 8)\n", 1)
    done = subprocess.run([sys.executable, "-c", patched, "check"], capture_output=True, text=True)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "needs Python 3.11" in done.stderr
