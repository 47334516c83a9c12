"""The installer at hand, uv or a pip, run with progress; when it fails, the reason in one sentence."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from project.core.management.environment.packages import pinned
from project.core.management.environment.voice import Progress, SetupStoppedError

Installer = Callable[..., list[str]]  # (verb, *words) → the command that does this in one environment

_NO_INSTALLER = (
    "This Python has no pip to install with: type `sudo apt install python3-venv` (Debian, Ubuntu) "
    "or install uv, then type the same command again."
)

# What installers print when they give up, by cause; the first that matches is told.
_CAUSES = (
    (
        ("DO NOT MATCH THE HASHES", "ash mismatch"),
        "A downloaded package does not match its hash in {lock}, so it was not installed: "
        "if a look at that file shows no change of yours, do not trust the index.",
    ),
    (("No space left",), "The disk is full: make room, then type the same command again."),
    (
        ("ConnectionError", "NameResolutionError", "ProxyError", "SSLError", "imed out", "Failed to fetch"),
        "The package index cannot be reached: look at the network, then type the same command again.",
    ),
    (
        ("No matching distribution", "No solution found"),
        "There is no ready-made package of {lock} for this Python and system: try another Python ({quoted}).",
    ),
)

_STRANGE = {"PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_PYTHON"}
_CALM = {f"PIP_{name}": "1" for name in ("NO_INPUT", "YES", "NO_COLOR", "DISABLE_PIP_VERSION_CHECK")}
_CALM |= {"PIP_USER": "0", "NO_COLOR": "1"}


def find_installer(python: Path, *, may_add_pip: bool = False) -> Installer:
    """Uv, the environment's own pip, a pip that Python brings (if it `may_add_pip`), or a pip from elsewhere.

    Raises:
        SetupStoppedError: there is none of them.
    """
    uv = shutil.which("uv")
    if uv and runs(uv, "--version"):
        return lambda verb, *words: [uv, "pip", verb, "--python", str(python), *words]
    own = (str(python), "-I", "-m", "pip")
    if runs(*own, "--version") or (may_add_pip and runs(str(python), "-I", "-m", "ensurepip")):
        return lambda *words: [*own, *words]
    for pip in ((base_python(), "-I", "-m", "pip"), ("pip3",), ("pip",)):
        if runs(*pip, "--python", str(python), "--version"):
            return lambda *words: [*pip, "--python", str(python), *words]
    raise SetupStoppedError(_NO_INSTALLER)


def base_python() -> str:
    """The interpreter under the running one: itself, unless that is a virtual environment's."""
    return getattr(sys, "_base_executable", "") or sys.executable


def runs(*command: str) -> bool:
    """Whether `command` can be started and ends well; what it prints is not shown."""
    try:
        with _start(command) as process:
            process.communicate()
    except OSError:
        return False
    return process.returncode == 0


def install(command: Sequence[str], lock: Path, installed: Callable[[], int]) -> int:
    """Run an installer's `command` for `lock`, showing how far it and `installed()` are; gives its seconds.

    Raises:
        SetupStoppedError: it failed; the sentence names the cause, or quotes the installer.
    """
    lines: list[str] = []
    progress, total = Progress(), len(pinned(lock))
    with _start(command) as process:
        reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(0.25)
                progress.show(_how_far(list(lines), installed(), total))
        except KeyboardInterrupt:
            process.terminate()
            raise
        finally:
            process.wait()
            progress.clear()
    if process.returncode:
        raise SetupStoppedError(_why(lines, lock))
    return progress.seconds


def _start(command: Sequence[str]) -> "subprocess.Popen[str]":
    """Start it with our environment, less what would lead it elsewhere; a lock that we hold it inherits."""
    environ = {name: value for name, value in os.environ.items() if name not in _STRANGE} | _CALM
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environ,
        close_fds=False,
    )


def _how_far(lines: list[str], installed: int, total: int) -> str:
    if any(line.startswith(("Installing collected packages", "Prepared ")) for line in lines):
        return f"installing {min(installed, total)} of {total}"
    signs = ("Collecting ", "Requirement already", "Downloaded ")
    seen = sum(line.lstrip().startswith(signs) for line in lines)
    return f"fetching {min(seen, total)} of {total}" if seen else "fetching"


def _why(lines: list[str], lock: Path) -> str:
    said = [line.strip() for line in lines if line.strip()]
    quoted = ([line for line in said if line.lower().startswith("error")] or said or ["nothing"])[-1]
    for signs, sentence in _CAUSES:
        if any(sign in line for sign in signs for line in said):
            return sentence.format(lock=lock.name, quoted=quoted)
    return f"The packages of {lock.name} could not be installed; the installer said: {quoted}"
