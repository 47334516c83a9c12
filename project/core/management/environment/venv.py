"""The project's own `.venv`: made from the hashed locks, made again after a kill, brought up to a changed lock."""

import os
import re
import sys
from pathlib import Path
from typing import NoReturn

from project.core.management.environment import installer

BASE, DEV = "base.lock", "dev.lock"  # dev.lock holds everything that base.lock does
_MEGABYTES = {"": 0, BASE: 26, DEV: 131}  # what a first install downloads, roughly
_THIS_PYTHON = f"{sys.implementation.cache_tag}-{sys.platform}"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?\s*(?:>=\s*([\d.]+))?\s*$")


class Venv:
    """The folder `.venv` of the project in `root`, as its stamp tells.

    That is a line `lock python`, then the lock as it was installed; it is empty while somebody works on the
    folder, so what a kill leaves behind is known to be half made.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.path, self.locks = root, root / ".venv", root / "project" / "requirements"
        self.python, self.stamp = self.path / "bin" / "python", self.path / "manage.stamp"

    def held(self) -> tuple[str, str]:
        """The lock it holds, by name and text; both empty unless it was finished, by this Python, and is sound."""
        try:
            headline, _, text = self.stamp.read_text(encoding="utf-8").partition("\n")
        except FileNotFoundError:
            return "", ""
        lock, _, python = headline.partition(" ")
        # Without its pyvenv.cfg the Python in it would take itself for another one, enter, and so on for ever.
        sound = self.python.exists() and (self.path / "pyvenv.cfg").exists()
        return (lock, text) if sound and python == _THIS_PYTHON else ("", "")

    def holds(self, lock: str) -> bool:
        """Whether it has the packages of `lock`, or of the larger dev.lock, as that is now."""
        held, text = self.held()
        return held in (lock, DEV) and text == (self.locks / held).read_text(encoding="utf-8")

    def is_foreign(self) -> bool:
        """Whether somebody else made it: there is something in it, but no stamp."""
        return any(self.path.glob("*")) and not self.stamp.exists()

    def is_running(self) -> bool:
        """Whether it is ours and this process runs in it."""
        return Path(sys.prefix).resolve() == self.path.resolve() and not self.is_foreign()

    def enter(self) -> NoReturn:
        """Start the same command over inside it."""
        # With either of these, too, the new process would take itself for another one.
        environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "__PYVENV_LAUNCHER__")}
        os.execve(self.python, [str(self.python), *sys.orig_argv[1:]], environ)  # noqa: S606


def lacking(root: Path, *, dev: bool) -> list[str]:
    """What the pyproject.toml of `root` (with its extra `dev`) asks for and this process lacks, or has too old."""
    import tomllib
    from importlib.metadata import distributions

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + (project["optional-dependencies"]["dev"] if dev else [])
    lacks = []
    # One with a marker may rightly be absent here; the others are sample enough.
    for name, minimum in (match.groups("0") for match in map(_REQUIREMENT.match, wanted) if match):
        found = next(iter(distributions(name=name)), None)
        if not found or _release(found.version) < _release(minimum):
            lacks.append(name)
    return lacks


def _release(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", f"{version}.0.0.0")[:4]]


def build(venv: Venv, lock: str) -> None:
    """Bring `venv` to hold `lock`, or wait until another start has; SetupStoppedError or OSError say why not."""
    with installer.exclusive(venv.root / ".venv.lock", "Another start is setting up .venv; this one waits for it."):
        if venv.holds(lock):
            return
        held, text = venv.held()
        file, had = venv.locks / (DEV if held == DEV else lock), installer.pinned(text)
        wanted = file.read_text(encoding="utf-8")
        wants = installer.pinned(wanted)
        new = len(wants.items() - had.items())
        size = _MEGABYTES[file.name] - _MEGABYTES[held] or round(_MEGABYTES[held] * new / len(wants))
        doing = "Updating .venv" if held else "Setting up .venv" + " again" * venv.path.exists()
        installer.say(f"{doing}: {new} packages of {file.name}, about {size} MB to download.")
        if not held:
            _make(venv)
        before = venv.stamp.read_text(encoding="utf-8")
        venv.stamp.write_text("")
        try:
            installer.install(file, installer.find_installer(venv.python, may_add_pip=True))
        except installer.SetupStoppedError:  # it fetches and checks everything before it touches anything
            venv.stamp.write_text(before, encoding="utf-8")
            raise
        if dropped := sorted(had.keys() - wants.keys()):
            installer.runs(*installer.find_installer(venv.python, "uninstall"), *dropped)
        venv.stamp.write_text(f"{file.name} {_THIS_PYTHON}\n{wanted}", encoding="utf-8")


def _make(venv: Venv) -> None:
    import shutil

    trash = venv.root / ".venv.trash"
    shutil.rmtree(trash, ignore_errors=True)
    if venv.path.exists():
        venv.path.rename(trash)  # at once: half deleted, without its stamp, it would look like another's
        shutil.rmtree(trash, ignore_errors=True)
    venv.path.mkdir()
    venv.stamp.touch()
    if not installer.runs(installer.BASE_PYTHON, "-I", "-m", "venv", "--without-pip", str(venv.path)):
        raise installer.SetupStoppedError(installer.NO_TOOLS)
