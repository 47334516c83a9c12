"""What the benchmark takes from the machine: servers on one core, wrk on the other, and the counters of a process."""

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

from project.core.conf import ROOT
from tests.faults.lab import free_port

START_SECONDS, END_SECONDS = 60.0, 15.0
TICK = os.sysconf("SC_CLK_TCK")
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}  # in milliseconds


class Missing(Exception):
    """The machine lacks something; the words say what to do."""


@dataclass(frozen=True)
class Address:
    """A request that is sent again and again, and the status that is the right answer to it."""

    path: str
    headers: Mapping[str, str]
    method: str = "GET"
    body: str = ""
    status: int = 200


@dataclass(frozen=True)
class Cell:
    """One work of one side in one round; `cpu` is processor time of the server for a request, in microseconds."""

    rate: float
    p50: float
    p99: float
    cpu: float
    errors: int

    @classmethod
    def of(cls, shown: str, seconds: float, wanted: int) -> "Cell":
        """What wrk shows of a request whose answer should be `wanted`, and the processor seconds it took.

        Raises ValueError for what is not wrk's report.
        """
        counted, rate = (re.search(pattern, shown) for pattern in (r"(\d+) requests in ", r"Requests/sec:\s+([\d.]+)"))
        if counted is None or rate is None:
            raise ValueError(f"this is not what wrk reports: {shown[:200]!r}")
        answered = int(counted[1])
        refused = int(found[1]) if (found := re.search(r"Non-2xx or 3xx responses: (\d+)", shown)) else 0
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", shown)
        errors = sum(map(int, broken.groups())) if broken else 0
        errors += answered - refused if wanted >= 400 else refused
        return cls(
            rate=float(rate[1]),
            p50=_milliseconds(shown, 50),
            p99=_milliseconds(shown, 99),
            cpu=seconds / max(1, answered) * 1e6,
            errors=errors + (not answered),
        )


def _milliseconds(shown: str, percentile: int) -> float:
    found = re.search(rf"^\s+{percentile}%\s+([\d.]+)(us|ms|s|m)$", shown, re.M)
    return float(found[1]) * UNITS[found[2]] if found else float("nan")


def cores() -> tuple[int, int]:
    """The core of the servers and the core of the client; raises Missing."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(allowed) < 2:
        raise Missing("The benchmark needs Linux and two cores: one for the server, one for the client.")
    return allowed[0], allowed[1]


def client() -> str:
    """The path of wrk; raises Missing."""
    if found := shutil.which("wrk"):
        return found
    raise Missing("The benchmark needs wrk, which asks quickly enough: install it, such as by `apt install wrk`.")


class Server:
    """A web server of one process on the servers' core; what it says is in a file of `folder`."""

    def __init__(self, name: str, words: str, env: Mapping[str, str], folder: Path, probe: str) -> None:
        self.name, self.probe, self.port = name, probe, 0
        self._words, self._env, self._log = words, env, folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> tuple[float, float]:
        """Start it on a free port; the seconds until it answered 200, by the clock and of the processor."""
        self.port, began = free_port(), time.perf_counter()
        words = [sys.executable, *self._words.format(port=self.port).split()]
        with self._log.open("wb") as said:
            self._process = subprocess.Popen(words, cwd=ROOT, env=self._env, stdout=said, stderr=said)
        os.sched_setaffinity(self.pid, {cores()[0]})
        while time.perf_counter() - began < START_SECONDS and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.ask(Address(self.probe, {}))[0] == 200:
                    return time.perf_counter() - began, self.cpu()
            time.sleep(0.005)
        self.end()
        raise Missing(f"{self.name} did not start: {self._log.read_text(errors='replace')[-1500:]}")

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self._process is not None
        return self._process.pid

    def end(self) -> None:
        """Tell it to stop, and kill it if it does not."""
        if self._process is None:
            return
        self._process.send_signal(SIGTERM)
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(SIGKILL)
            self._process.wait()
        self._process = None

    def cpu(self) -> float:
        """Seconds of processor time that it has used, in all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self) -> tuple[float, float]:
        """Its RSS and PSS, in MB."""
        told = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        rss, pss = (re.search(rf"^{name}:\s+(\d+) kB", told, re.M) for name in ("Rss", "Pss"))
        assert rss is not None
        assert pss is not None
        return int(rss[1]) / 1024, int(pss[1]) / 1024

    def ask(self, address: Address) -> tuple[int, http.client.HTTPMessage, bytes]:
        """One request: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(address.method, address.path, address.body.encode() or None, dict(address.headers))
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def measure(self, address: Address, seconds: int, connections: int, script: Path) -> Cell:
        """Have wrk ask for so long; an answer that is not the right one, before or after, counts as an error."""
        wrong = self.ask(address)[0] != address.status
        script.write_text(script_of(address))
        words = [client(), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script)]
        before = self.cpu()
        running = subprocess.Popen(
            [*words, f"http://127.0.0.1:{self.port}{address.path}"], stdout=subprocess.PIPE, text=True
        )
        os.sched_setaffinity(running.pid, {cores()[1]})
        try:
            shown = running.communicate(timeout=seconds + 60)[0]
        finally:
            running.kill()
        cell = Cell.of(shown, self.cpu() - before, address.status)
        wrong |= self.ask(address)[0] != address.status
        return Cell(**{**vars(cell), "errors": cell.errors + wrong})


def script_of(address: Address) -> str:
    """The script for wrk."""
    lines = [f"wrk.method = {_quoted(address.method)}"]
    lines += [f"wrk.headers[{_quoted(name)}] = {_quoted(value)}" for name, value in address.headers.items()]
    lines += [f"wrk.body = {_quoted(address.body)}"] if address.body else []
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """A Lua string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
