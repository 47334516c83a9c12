"""A test fails when a request or a job of it holds up the event loop: who sleeps, waits for a socket or hashes there.

Calls are looked at, not clocks, so a busy machine changes nothing. What a test itself does on the loop is its affair.
"""

import asyncio
import functools
import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from argon2 import PasswordHasher

from project.core import watchdog

FOUND: list[str] = []  # what this test has been caught at
ADVICE = "await asyncio.sleep(…), an async client, run_blocking(…) or a job in its place"
CALLS: list[tuple[Any, tuple[str, ...]]] = [
    (time, ("sleep",)),
    (socket, ("getaddrinfo", "gethostbyname")),
    (socket.socket, ("accept", "connect", "recv", "recv_into", "send", "sendall")),
    (subprocess.Popen, ("wait", "communicate")),
    (hashlib, ("pbkdf2_hmac", "scrypt")),
    (PasswordHasher, ("hash", "verify")),
]


def pytest_configure() -> None:
    """Stand before each of these calls."""
    for place, names in CALLS:
        for name in names:
            if not hasattr(call := getattr(place, name), "__wrapped__"):
                setattr(place, name, _noticed(f"{place.__name__}.{name}", call))


def _noticed(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def run(*args: Any, **options: Any) -> Any:
        if asyncio._get_running_loop() is not None and not _returns_at_once(args):
            frame = sys._getframe(1)
            if of := watchdog.doing(frame):
                FOUND.append(f"{name} holds up the event loop in {watchdog.place(frame)}, of {of}: {ADVICE}")
        return call(*args, **options)

    return run


def _returns_at_once(args: tuple[Any, ...]) -> bool:
    return bool(args) and isinstance(args[0], socket.socket) and args[0].gettimeout() == 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    """Fail the test that was caught, whatever became of the answer."""
    FOUND.clear()
    result = yield
    if FOUND:
        pytest.fail("\n".join(FOUND), pytrace=False)
    return result
