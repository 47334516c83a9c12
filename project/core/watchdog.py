"""The watchdog: a thread that looks at the event loop, and says what holds it up while it does.

asyncio's own `slow_callback_duration` speaks in debug mode only, and afterwards, when the frame is gone.
"""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, process_time
from types import CodeType, FrameType
from typing import Any

from project.core.conf import ROOT
from project.core.log import CONTEXT, get_logger
from project.core.metrics import Counter, Histogram

log = get_logger(__name__)
LAG = Histogram("loop_lag_seconds", "How late the event loop was, asked ten times a second.")
STALLS = Counter("loop_stalls_total", "Times that one step of a task held up the event loop.")
BEAT = 0.1
FRAMES = 30  # of a stack, the innermost
ABOUT: dict[CodeType, Callable[[Mapping[str, Any]], dict[str, str]]] = {}  # by whose frames a request or job is known


def doing(frame: FrameType | None) -> dict[str, str]:
    """The request or job in whose course a frame runs; nothing when it is none's."""
    while frame and frame.f_code not in ABOUT:
        frame = frame.f_back
    return ABOUT[frame.f_code](frame.f_locals) if frame else {}


def place(frame: FrameType | None) -> str:
    """Where it is in the site's own code, the innermost line of it: "apps/shop/api.py, line 12, in buy"."""
    stack = traceback.extract_stack(frame)
    own = [each for each in stack if each.filename.startswith(f"{ROOT}/") and "site-packages" not in each.filename]
    found = (own or stack)[-1]
    return f"{found.filename.removeprefix(f'{ROOT}/')}, line {found.lineno}, in {found.name}"


class Watchdog(threading.Thread):
    """Looks at a loop from beside it. A step is a task's run from one `await` that waits to the next.

    Only a step that lasts is a stall, whatever its code does: a loop with much to do is late, too, but two looks at it
    find two tasks. A machine that stands still is not the code's fault either: then this thread is late itself, and the
    process has used no processor. Where it has, the code kept the interpreter to itself (a regular expression does).
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience: float) -> None:
        super().__init__(name="watchdog", daemon=True)
        self._loop, self._patience, self._pause = loop, patience, patience / 4
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._due = self._looked = monotonic()
        self._used, self._told, self._late = process_time(), 0.0, 0.0
        self._step: object = self
        self._beat()

    def _beat(self) -> None:
        now = monotonic()
        LAG.observe(max(0.0, now - self._due))
        self._due = now + BEAT
        self._timer = self._loop.call_later(BEAT, self._beat)

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(self._pause):
            task = asyncio.current_task(self._loop)
            if self.is_held_up(monotonic(), process_time(), task):
                self._tell(task, self._late)

    def is_held_up(self, now: float, used: float, task: object) -> bool:
        """Whether this look finds a stall that was not told yet; `used` is the processor's seconds of this process."""
        own, worked = now - self._looked - self._pause, used - self._used
        self._late = late = now - self._due
        self._looked, self._used = now, used
        if late < self._patience / 2 or own > max(self._patience / 2, 2 * worked):
            self._step = self
        elif own < self._patience / 2 and self._step is not task:
            self._step = task
        elif late >= self._patience and self._told != self._due:
            self._told = self._due
            return True
        return False

    def _tell(self, task: Any, seconds: float) -> None:
        frame = sys._current_frames().get(self._watched)
        context: Mapping[Any, str] = getattr(task, "get_context", dict)()  # from Python 3.12 on: of a subtask, too
        about = {var.name: context[var] for var in CONTEXT if context.get(var)} | doing(frame)
        frames = [f"{each.filename}:{each.lineno} {each.name}" for each in traceback.extract_stack(frame)[-FRAMES:]]
        STALLS.add()
        log.warning(
            "the event loop is held up",
            at=place(frame),
            seconds=round(seconds, 2),
            **about,
            frames=frames,
        )

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._timer.cancel()


@contextmanager
def watched(patience: float) -> Iterator[None]:
    """Watch the running loop: a step that takes `patience` seconds is told once, while it lasts; 0 watches nothing."""
    if not patience:
        yield
        return
    watchdog = Watchdog(asyncio.get_running_loop(), patience)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()
