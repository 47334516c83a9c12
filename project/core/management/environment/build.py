"""Making `.venv` hold a lock: from nothing, or from what an older lock left there; one process at a time."""

import shutil

from project.core.management.environment.exclusive import exclusive
from project.core.management.environment.installer import base_python, find_installer, install, runs
from project.core.management.environment.packages import installed, pinned
from project.core.management.environment.venv import BASE, DEV, Venv
from project.core.management.environment.voice import SetupStoppedError, say

_MEGABYTES = {BASE: 26, DEV: 131}  # what a first install downloads, roughly
_UNFINISHED = "unfinished"
_NO_VENV = (
    "This Python cannot make a virtual environment: type `sudo apt install python3-venv` (Debian, Ubuntu) "
    "or use another Python, then type the same command again."
)


def build(venv: Venv, lock: str) -> None:
    """Bring `venv` to hold `lock`, or wait until another start has.

    Raises:
        SetupStoppedError: it cannot be done; what worked before still does, and the next start tries again.
        OSError: the folder of the project cannot be written.
    """
    with exclusive(venv.root / ".venv.lock", "Another start is setting up .venv; this one waits for it."):
        if venv.holds(lock):
            return
        lock = DEV if venv.held_lock() == DEV else lock
        say(_announcement(venv, lock))
        if venv.is_sound():
            _update(venv, lock)
        else:
            _make(venv)
            _fill(venv, lock)
        venv.stamp.write_text(venv.stamp_for(lock, pinned(venv.lock(lock))), encoding="utf-8")


def _announcement(venv: Venv, lock: str) -> str:
    count, size, held = len(pinned(venv.lock(lock))), _MEGABYTES[lock], venv.held_lock()
    if not venv.is_sound():
        why = {"": "", _UNFINISHED: " again, as that was not finished"}.get(held, " anew for this Python")
        return f"Setting up .venv{why}: {count} packages of {lock}, about {size} MB to download."
    if held == lock:
        return f"{lock} has changed: bringing .venv up to it, with what is new in its {count} packages."
    more, size = count - len(venv.held_packages()), size - _MEGABYTES[BASE]
    return f"Adding the tools for tests to .venv: {more} packages of {lock}, about {size} MB to download."


def _make(venv: Venv) -> None:
    trash = venv.root / ".venv.trash"
    shutil.rmtree(trash, ignore_errors=True)
    if venv.path.exists():
        venv.path.rename(trash)  # at once: half deleted, without its stamp, it would look like another's
        shutil.rmtree(trash, ignore_errors=True)
    venv.path.mkdir()
    venv.stamp.write_text(_UNFINISHED, encoding="utf-8")
    if not runs(base_python(), "-I", "-m", "venv", "--without-pip", str(venv.path)):
        raise SetupStoppedError(_NO_VENV)


def _update(venv: Venv, lock: str) -> None:
    before, had = venv.stamp.read_text(encoding="utf-8"), venv.held_packages()
    venv.stamp.write_text(_UNFINISHED, encoding="utf-8")
    try:
        _fill(venv, lock)
    except SetupStoppedError:  # an installer fetches and checks everything before it touches anything
        venv.stamp.write_text(before, encoding="utf-8")
        raise
    if dropped := sorted(set(had) - set(pinned(venv.lock(lock)))):
        runs(*find_installer(venv.python)("uninstall", *dropped))


def _fill(venv: Venv, lock: str) -> None:
    installer = find_installer(venv.python, may_add_pip=True)
    file, folders = venv.lock(lock), venv.import_path()
    # Only what is ready made: a build would run code, and fetch tools, that no hash has checked.
    words = installer("install", "--only-binary", ":all:", "--require-hashes", "-r", str(file))
    say(f"Done in {install(words, file, lambda: len(installed(folders)))} s.")
