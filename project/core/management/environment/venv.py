"""The project's own `.venv`: what it holds, by its stamp, and going on inside it."""

import hashlib
import os
import sys
from pathlib import Path
from typing import NoReturn

BASE, DEV = "base.lock", "dev.lock"  # dev.lock holds everything that base.lock does


class Venv:
    """The folder `.venv` of the project in `root`.

    Its stamp is a line `lock digest python`, then a line per package of that lock. While somebody works on it
    that is one word instead, so what a kill leaves behind is known to be half made.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.path = root, root / ".venv"
        self.python = self.path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        self.stamp = self.path / "manage.stamp"

    def holds(self, lock: str) -> bool:
        """Whether it is sound and has the packages of `lock`, or of the larger dev.lock, as that is now."""
        held = self.held_lock()
        return held in (lock, DEV) and self.is_sound() and self._headline() == self._headline_for(held)

    def is_sound(self) -> bool:
        """Whether it was finished once, by this Python, and still has its interpreter."""
        words = self._headline().split(" ")
        has_python = self.python.exists() and (self.path / "pyvenv.cfg").exists()
        return has_python and len(words) == 3 and words[2] == _this_python()

    def is_foreign(self) -> bool:
        """Whether somebody else made it: there is something in it, but no stamp."""
        return self.path.is_dir() and not self.stamp.exists() and any(self.path.iterdir())

    def is_running(self) -> bool:
        """Whether this process runs in it."""
        return Path(sys.prefix).resolve() == self.path.resolve()

    def enter(self) -> NoReturn:
        """Start the same command over inside it; on Windows, which has no exec, in a child."""
        command = [str(self.python), *sys.orig_argv[1:]]
        # With either of these the new process would take itself for the old one, enter, and so on for ever.
        environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONHOME", "__PYVENV_LAUNCHER__")}
        if os.name != "nt":
            os.execve(self.python, command, environ)  # noqa: S606
        raise SystemExit(_run_to_its_end(command, environ))

    def lock(self, name: str) -> Path:
        """Where the lock called `name` is."""
        return self.root / "project" / "requirements" / name

    def import_path(self) -> list[str]:
        """The folders its packages are in, seen from outside."""
        places = ("lib/python*/site-packages", "Lib/site-packages")
        return [str(folder) for place in places for folder in self.path.glob(place)]

    def held_lock(self) -> str:
        """The name of the lock it was made from; another word while it is unfinished, and nothing before."""
        return self._headline().split(" ")[0]

    def held_packages(self) -> list[str]:
        """What the stamp says was installed."""
        return self._lines()[1:]

    def stamp_for(self, lock: str, packages: list[str]) -> str:
        """The stamp that says: finished, by this Python, with the `packages` of `lock`."""
        return "\n".join([self._headline_for(lock), *packages])

    def _headline(self) -> str:
        return "".join(self._lines()[:1])

    def _headline_for(self, lock: str) -> str:
        return f"{lock} {hashlib.sha256(self.lock(lock).read_bytes()).hexdigest()} {_this_python()}"

    def _lines(self) -> list[str]:
        try:
            return self.stamp.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []


def _this_python() -> str:
    return f"{sys.implementation.cache_tag}-{sys.platform}"


def _run_to_its_end(command: list[str], environ: dict[str, str]) -> int:
    import subprocess

    child = subprocess.Popen(command, env=environ)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the console has told the child as well, and the child decides
            continue
