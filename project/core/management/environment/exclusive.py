"""One at a time: a lock of the operating system, which ends with the last process that holds it."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from project.core.management.environment.voice import say


@contextmanager
def exclusive(path: Path, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`, saying `waiting` first if somebody else does."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    # An installer whose parent is killed goes on writing: it inherits the lock, so the next start waits.
    os.set_inheritable(handle, True)
    try:
        if not _taken(handle):
            say(waiting)
            while not _taken(handle):
                time.sleep(0.1)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
