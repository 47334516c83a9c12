"""A 20 kB static file: the whole site against a bare Starlette app with StaticFiles, in the same run.

Run by hand: .venv/bin/python -m tests.bench.static_files [rounds] [seconds of a round]
Both stand behind uvicorn with the same options, asked over kept-alive connections without pipelining; the client is
wrk where it is installed, else a process of raw sockets. Rounds alternate; what is printed are medians.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME, SIZE, CONNECTIONS = "bench.css", 20_000, 16
Address = tuple[int, str]


def peer() -> object:
    """What is compared with: Starlette, its StaticFiles, nothing else."""
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    return Starlette(routes=[Mount("/static", StaticFiles(directory=os.environ["BENCH_FOLDER"]))])


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(env: dict[str, str], app: str, *options: str) -> Iterator[int]:
    """uvicorn with this app on a free port, until it has answered once."""
    port = free_port()
    words = [app, "--port", str(port), "--no-access-log", "--no-server-header", "--no-proxy-headers", *options]
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(10)


def answer(address: Address) -> bytes:
    """One whole answer, head and body."""
    with socket.create_connection(("127.0.0.1", address[0]), 5) as connection:
        connection.sendall(request(address, close=True))
        return b"".join(iter(lambda: connection.recv(65536), b""))


def request(address: Address, *, close: bool = False) -> bytes:
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"GET /static/{address[1]} HTTP/1.1\r\nHost: 127.0.0.1:{address[0]}\r\n{end}".encode()


def rate(address: Address, seconds: float) -> float:
    """Requests answered in a second, from the outside."""
    if wrk := shutil.which("wrk"):
        url = f"http://127.0.0.1:{address[0]}/static/{address[1]}"
        words = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
        shown = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
        assert "Non-2xx" not in shown, shown
        return float(re.search(r"Requests/sec:\s+([\d.]+)", shown)[1])  # type: ignore[index]
    words = [sys.executable, "-m", "tests.bench.static_files", "client", str(address[0]), address[1], str(seconds)]
    shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=seconds + 30).stdout
    return float(shown)


def client(address: Address, seconds: float) -> float:
    """Raw sockets: one request in flight on each, the length of an answer learned from the first."""
    import selectors

    length, sent = len(answer(address)), request(address)
    # An answer to a kept-alive request lacks the line "connection: close".
    length -= len(b"connection: close\r\n")
    chooser, done, buffer = selectors.DefaultSelector(), 0, bytearray(1 << 16)
    missing = {}
    for _ in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", address[0]), 5)
        connection.setblocking(False)
        chooser.register(connection, selectors.EVENT_READ)
        missing[connection] = length
        connection.send(sent)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        for key, _ in chooser.select(1):
            connection = key.fileobj  # type: ignore[assignment]
            missing[connection] -= connection.recv_into(buffer)
            if missing[connection] == 0:
                missing[connection] = length
                done += 1
                connection.send(sent)
    return done / (time.perf_counter() - started)


def main(rounds: int, seconds: float) -> None:
    from project.core.web.static.collecting import collect, read_manifest
    from project.core.web.static.sources import Sources

    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name, "files"), Path(name, "data")
        folder.mkdir()
        # Nothing a compressor could shrink: both sides send the same 20 kB.
        (folder / NAME).write_bytes(os.urandom(SIZE))
        collect(Sources([("", folder)]), data / "static")
        hashed = read_manifest(data / "static")[NAME]
        env = os.environ | {
            "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
            "DEBUG": "false",
            "DATA_DIR": str(data),
            "DATABASE_URL": f"sqlite:///{data}/db.sqlite3",
            "BENCH_FOLDER": str(folder),
        }
        with (
            serving(env, "project.asgi:app") as site,
            serving(env, "tests.bench.static_files:peer", "--factory") as bare,
        ):
            sides: dict[str, Address] = {
                "the whole site": (site, hashed),
                "Starlette's StaticFiles": (bare, NAME),
            }
            for side, address in sides.items():
                head, _, body = answer(address).partition(b"\r\n\r\n")
                assert b" 200 " in head, head
                assert len(body) == SIZE, side
            rates: dict[str, list[float]] = {side: [] for side in sides}
            for number in range(rounds + 1):
                for side, address in sides.items():
                    measured = rate(address, seconds)
                    if number:  # the first round warms up
                        rates[side].append(measured)
    medians = {side: statistics.median(values) for side, values in rates.items()}
    for side, values in rates.items():
        print(f"{side:<24} median {medians[side]:>7,.0f} requests/s, all {[round(value) for value in values]}")
    ours, theirs = medians.values()
    print(f"ratio {ours / theirs:.1f} (wanted: 5), client {'wrk' if shutil.which('wrk') else 'raw sockets'}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["client"]:
        print(client((int(sys.argv[2]), sys.argv[3]), float(sys.argv[4])))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 5, float(sys.argv[2]) if len(sys.argv) > 2 else 2)
