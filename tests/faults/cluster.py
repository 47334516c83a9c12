"""A PostgreSQL server of the scripts' own, in a temporary folder: stopped, killed, halted and started by them alone.

PostgreSQL does not run as root: where the script does, the server runs as `postgres`, else `nobody`.
"""

import asyncio
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGKILL, SIGQUIT, SIGSTOP, Signals
from typing import Any

import asyncpg

from tests.faults.lab import APPS, Lab, free_port, lab
from tests.faults.processes import children

STRAINED = f"{APPS},tests.faults.strained"
START_SECONDS = 60
QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}


class Cluster:
    """One server with ordinary durability; `url` names its database `postgres`."""

    def __init__(self, folder: Path, data: Path, port: int, owner: dict[str, Any]) -> None:
        self.folder, self.data, self.port, self._owner = folder, data, port, owner
        self.log = folder / "log"
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._bin = _binaries()
        self._popen: subprocess.Popen[bytes] | None = None

    def make(self, *options: str) -> None:
        """`initdb`."""
        words: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run([*words, "--locale=C", *options], check=True, cwd=self.folder, **QUIET, **self._owner)

    async def start(self) -> float:
        """Start it; returns when it lets somebody in, and says at which moment (perf_counter) that was."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with self.log.open("ab") as said:
            self._popen = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [self._bin / "postgres", "-D", self.data, *words],
                stdout=said,
                stderr=said,
                cwd=self.folder,
                **self._owner,
            )
        async with asyncio.timeout(START_SECONDS):
            while not await self.accepts():
                await asyncio.sleep(0.02)
        return time.perf_counter()

    async def accepts(self) -> bool:
        """Whether it lets somebody in."""
        with suppress(OSError, TimeoutError, asyncpg.PostgresError):
            await (await asyncpg.connect(self.url, timeout=1)).close()
            return True
        return False

    async def ask(self, statement: str, url: str = "") -> list[Any]:
        """The rows that a statement gives, in `postgres` or in another database of its."""
        connection = await asyncpg.connect(url or self.url, timeout=5)
        try:
            return list(await connection.fetch(statement))
        finally:
            await connection.close()

    async def stop(self, how: Signals = SIGINT) -> None:
        """Stop it as `pg_ctl stop -m fast` does (SIGINT), or as `-m immediate` does (SIGQUIT)."""
        assert self._popen
        self._popen.send_signal(how)
        async with asyncio.timeout(START_SECONDS):
            await asyncio.to_thread(self._popen.wait)

    def halt(self) -> None:
        """Let every process of it hang: connections stay open, new ones are not answered."""
        self._signal(SIGSTOP)

    def go_on(self) -> None:
        """Let them go on."""
        self._signal(SIGCONT)

    def _signal(self, number: Signals) -> None:
        assert self._popen
        self._popen.send_signal(number)  # the first, so that it starts no more
        for pid in children(self._popen.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """End it at once, all of it."""
        if self._popen and self._popen.poll() is None:
            self.go_on()
            self._popen.send_signal(SIGQUIT)
            try:
                self._popen.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._signal(SIGKILL)
                self._popen.wait()


@asynccontextmanager
async def cluster(*options: str, place: Path | None = None) -> AsyncIterator[Cluster]:
    """A server that runs, with its data in a temporary folder or in `place`; `options` are for initdb."""
    with tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as made:
        folder, owner = Path(made), _owner()
        for each in {folder, place or folder}:
            os.chown(each, owner.get("user", -1), owner.get("group", -1))
        server = Cluster(folder, (place or folder) / "data", free_port(), owner)
        server.make(*options)
        await server.start()
        try:
            yield server
        finally:
            server.close()


@asynccontextmanager
async def strained(**env: str) -> AsyncIterator[tuple[Cluster, Lab]]:
    """A site with the strained app on a PostgreSQL and a Redis of its own; settings are given by name."""
    settings: dict[str, Any] = {"INSTALLED_APPS": STRAINED} | env
    async with cluster() as server, lab("postgresql", redis=True, server=server.url, **settings) as one:
        yield server, one


def _owner() -> dict[str, Any]:
    """As whom the server runs, where the script runs as root."""
    if os.geteuid():
        return {}
    names = {each.pw_name: each for each in pwd.getpwall()}
    found = names.get("postgres") or names["nobody"]
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}


def _binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    if not folders or not (folders[0] / "postgres").exists():
        raise RuntimeError("These scripts need PostgreSQL's own programs (initdb, postgres): install its server.")
    return folders[0]
