"""A lock comes in; uv, or else a pip, installs it, one start at a time, with progress; a refusal is one sentence."""

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from subprocess import Popen

BASE_PYTHON: str = getattr(sys, "_base_executable", "") or sys.executable  # the one under a virtual environment's
NO_TOOLS = (
    "This Python cannot make an environment with pip in it: type `sudo apt install python3-venv` (Debian, Ubuntu) "
    "or install uv, then type the same command again."
)
# What installers print when they give up, and what to say then; the first that matches is told.
_REASONS = {
    "DO NOT MATCH THE HASHES|[Hh]ash mismatch": "A downloaded package does not match its hash in {lock}, so it was "
    "not installed: if a look at that file shows no change of yours, do not trust the index.",
    "No space left": "The disk is full: make room, then type the same command again.",
    "ConnectionError|NameResolutionError|ProxyError|SSLError|imed out|Failed to fetch": "The package index cannot be "
    "reached: look at the network, then type the same command again.",
    "No matching distribution|No solution found": "There is no ready-made package of {lock} for this Python and "
    "system: try another Python ({quoted}).",
    "": "The packages of {lock} could not be installed; the installer said: {quoted}",
}
_MISLEADING = {"PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__", "PIP_TARGET", "PIP_PREFIX", "PIP_PYTHON"}
_CALM = {
    "PIP_NO_INPUT": "1",
    "PIP_YES": "1",
    "PIP_USER": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "NO_COLOR": "1",
    "UV_COMPILE_BYTECODE": "1",
}


class SetupStoppedError(Exception):
    """The environment cannot be set up; the message is one sentence that says why and what to type."""


def say(line: str, end: str = "\n") -> None:
    """Print one line on standard error, so that a command's own output stays clean."""
    sys.stderr.write(line + end)
    sys.stderr.flush()


@contextmanager
def exclusive(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`, saying `waiting` first if somebody else does; Windows has no such locks."""
    with path.open("a") as file:
        if sys.platform != "win32":
            import fcntl

            # An installer whose parent is killed goes on writing: it inherits the lock, so the next start waits.
            os.set_inheritable(file.fileno(), True)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(waiting)
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def pinned(text: str) -> dict[str, str]:
    """Version by name of what the `text` of a lock pins."""
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def find_installer(python: Path, verb: str = "install", *, may_add_pip: bool = False) -> list[str]:
    """The words that `verb` packages of `python`: of uv, its own pip or a pip elsewhere; else SetupStoppedError."""
    own = [str(python), "-I", "-m", "pip", verb]
    elsewhere = [[*pip, "--python", str(python), verb] for pip in ([BASE_PYTHON, "-I", "-m", "pip"], ["pip3"])]
    for words in (["uv", "pip", verb, "--python", str(python)], own, *elsewhere):
        if runs(*words, "--help") or (words is own and may_add_pip and runs(*own[:3], "ensurepip")):
            return words
    raise SetupStoppedError(NO_TOOLS)


def runs(*command: str) -> bool:
    """Whether `command` can be started and ends well; what it prints is not shown."""
    try:
        with _start(command) as process:
            process.communicate()
    except OSError:
        return False
    return process.returncode == 0


def install(lock: Path, command: Sequence[str]) -> None:
    """Install `lock` by an installer's `command`, with progress; SetupStoppedError gives the reason if it fails."""
    from subprocess import TimeoutExpired

    start, total = time.monotonic(), len(pinned(lock.read_text(encoding="utf-8")))
    pause, clear, end = (0.25, f"\r{'':60}\r", "") if sys.stderr.isatty() else (10, "", "\n")
    # Only what is ready made: a build would run code, and fetch tools, that no hash has checked.
    with _start([*command, "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]) as process:
        while process.returncode is None:
            try:
                output = process.communicate(timeout=pause)[0]
            except TimeoutExpired as still:
                say(f"{clear}  {_how_far(still.output or b'', total)}, {time.monotonic() - start:.0f} s", end)
    say(clear, end="")
    if process.returncode:
        raise SetupStoppedError(_reason(output.decode(errors="replace"), lock.name))
    say(f"Done in {time.monotonic() - start:.0f} s.")


def _start(command: Sequence[str]) -> "Popen[bytes]":
    """Start it with our environment, less what would lead it elsewhere, and with any lock that we hold."""
    from subprocess import DEVNULL, PIPE, STDOUT, Popen

    environ = {name: value for name, value in os.environ.items() if name not in _MISLEADING} | _CALM
    return Popen(command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, env=environ, close_fds=False)


def _how_far(output: bytes, total: int) -> str:
    if re.search(rb"^(Installing collected|Prepared) ", output, re.MULTILINE):
        return f"installing {total} packages"
    return f"fetching {len(re.findall(rb'^ *(Collecting|Requirement already|Downloaded) ', output, re.M))} of {total}"


def _reason(output: str, lock: str) -> str:
    said = re.findall(r"^ *(\w*error\b.*)", output, re.MULTILINE | re.IGNORECASE) or output.strip().split("\n")
    told = next(sentence for signs, sentence in _REASONS.items() if re.search(signs, output))
    return told.format(lock=lock, quoted=said[-1].strip())
