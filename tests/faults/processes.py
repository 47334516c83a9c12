"""Processes of the site, started and ended here, and what /proc says of them. Linux only."""

import asyncio
import contextlib
import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from signal import SIGKILL, Signals
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
END_SECONDS = 60
ERROR = re.compile(r'Traceback.*?(?:\\n|\n)(\w[\w.]*(?:Error|Exception|Exit|Group|Timeout)\b[^\\\n"]{0,80})', re.S)
AWAY = re.compile(r'"error": "(\w+)"[^{}]*"event": "a part is away"')
PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A process that was started here; what it says is in the log file."""

    def __init__(self, words: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as said:
            self.popen = subprocess.Popen(words, cwd=ROOT, env=env, process_group=0, stdout=said, stderr=said)
        self.pid = self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.popen.poll() is None

    @property
    def bugs(self) -> dict[str, int]:
        """What it has written tracebacks of: {the last line: how often}."""
        ends = re.findall(
            r"Traceback.*?(?:\n|\\n)(\w[\w.]*(?:Error|Exception|Exit|Group|Timeout)\b.{0,80})", self.log.read_text()
        )
        return dict(Counter(ends))

    @property
    def away(self) -> dict[str, int]:
        """What it could not reach: {the reason: how often}."""
        return dict(Counter(AWAY.findall(self.log.read_text())))

    def signal(self, number: Signals) -> None:
        """Send it a signal, to this one process only."""
        self.popen.send_signal(number)

    async def end(self, number: Signals) -> int:
        """Send a signal that ends it; returns its exit code."""
        self.signal(number)
        async with asyncio.timeout(END_SECONDS):
            return await asyncio.to_thread(self.popen.wait)

    def close(self) -> None:
        """Kill whatever is left of it and of what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, SIGKILL)
        self.popen.wait()


class Web(Process):
    """`manage.py runserver`, its address, and how long its start took."""

    url = ""
    seconds = 0.0  # until it answered


class Served(Web):
    """`manage.py serve`: the process that was started, and those that it keeps."""

    @property
    def workers(self) -> list[int]:
        """The ids of the processes that answer."""
        return workers(self.pid) or [self.pid]

    @property
    def starts(self) -> int:
        """How many processes have become ready so far."""
        return self.log.read_text().count("Application startup complete.")

    def has_started(self, times: int) -> bool:
        """Whether so many have."""
        return self.starts >= times


class Held(NamedTuple):
    """What a process holds: memory in MB, open descriptors, threads."""

    megabytes: float
    descriptors: int
    threads: int


def children(parent: int) -> list[int]:
    """The ids of the processes that this one has started and that still are."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and (words := _status(each)) and int(words[1]) == parent and words[0] != "Z":
            found.append(int(each.name))
    return sorted(found)


def workers(parent: int) -> list[int]:
    """The children that Python's multiprocessing has spawned; not the one that looks after its semaphores."""
    return [each for each in children(parent) if b"spawn_main" in _command(each)]


def held(pid: int) -> Held:
    """What it holds now; raises OSError when it is gone."""
    folder = Path("/proc") / str(pid)
    resident = int((folder / "statm").read_text().split()[1]) * PAGE / 1e6
    return Held(resident, len([*(folder / "fd").iterdir()]), len([*(folder / "task").iterdir()]))


def exists(pid: int) -> bool:
    """Whether it still runs."""
    return _status(Path("/proc") / str(pid))[:1] not in ([], ["Z"])


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _status(folder: Path) -> list[str]:
    """The words of `stat` after the name: the state, the parent, and so on; none when the process is gone."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
