"""What the bootstrap says: calm lines on standard error, progress, one sentence if it cannot go on."""

import sys
import time


class SetupStoppedError(Exception):
    """The environment cannot be set up; the message is one sentence that says why and what to type."""


def say(line: str, end: str = "\n") -> None:
    """Print one line on standard error, so that a command's own output stays clean."""
    sys.stderr.write(line + end)
    sys.stderr.flush()


class Progress:
    """A count that is never silent: rewritten in place on a terminal, elsewhere a line every ten seconds."""

    def __init__(self) -> None:
        self._start = self._said = time.monotonic()

    @property
    def seconds(self) -> int:
        return round(time.monotonic() - self._start)

    def show(self, text: str) -> None:
        if sys.stderr.isatty():
            say(f"\r{f'  {text}, {self.seconds} s':<60}", end="")
        elif time.monotonic() - self._said >= 10:
            self._said = time.monotonic()
            say(f"  {text}, {self.seconds} s")

    def clear(self) -> None:
        if sys.stderr.isatty():
            say(f"\r{'':<60}\r", end="")
