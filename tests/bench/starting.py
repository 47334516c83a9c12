"""How long the terminal makes one wait, set up already: medians of `--help`, `check` and the first 200.

Run by hand: .venv/bin/python -m tests.bench.starting [rounds]
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMITS = {"--help": 0.3, "check": 1.5, "first 200": 4.0}


def timed(*words: str, env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=env, check=True, capture_output=True)
    return time.perf_counter() - started


def first_200(env: dict[str, str]) -> float:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    words = [sys.executable, "manage.py", "runserver", str(port)]
    server = subprocess.Popen(
        words, cwd=ROOT, env=env, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while time.perf_counter() - started < 30:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                    return time.perf_counter() - started
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.02)
        raise SystemExit("the server did not answer within 30 s")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(10)


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        env = os.environ | {
            "MANAGE_NO_BOOTSTRAP": "1",
            "DEBUG": "true",
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        }
        timed("--help", env=env)
        first_200(env)
        taken = {
            "--help": [timed("--help", env=env) for _ in range(rounds)],
            "check": [timed("check", env=env) for _ in range(rounds)],
            "first 200": [first_200(env) for _ in range(rounds)],
        }
    for name, seconds in taken.items():
        each = sorted(round(one, 2) for one in seconds)
        print(f"{name:<10} median {statistics.median(seconds):.2f} s (limit {LIMITS[name]}), all {each}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
