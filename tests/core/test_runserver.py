"""The development server, really started: reload and Ctrl-C never hang, whatever is open."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
import websockets

ROOT = Path(__file__).resolve().parents[2]
PARTS = ["manage.py", "project", "apps", "templates", "static", "migrations", "tests/__init__.py", "tests/core/probe"]
SECONDS = 20


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the site that a test may edit."""
    for part in PARTS:
        target = tmp_path / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, target)
    (tmp_path / "tests/core/__init__.py").touch()
    return tmp_path


@pytest.fixture
async def server(site: Path) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    """`manage.py runserver` on a free port, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {
        "MANAGE_NO_BOOTSTRAP": "1",
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DEBUG": "true",
        "DATABASE_URL": f"sqlite:///{site}/db.sqlite3",
        "INSTALLED_APPS": "project,apps.accounts,tests.core.probe",
    }
    words = [sys.executable, "manage.py", "runserver", str(port)]
    process = subprocess.Popen(words, cwd=site, env=env, process_group=0)  # noqa: ASYNC220
    yield f"http://127.0.0.1:{port}", process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def until_it_answers(client: httpx2.AsyncClient) -> None:
    with anyio.fail_after(SECONDS):
        while True:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(0.05)


async def first_event(client: httpx2.AsyncClient, held: list[object]) -> str:
    """Open the stream, keep it open, and return its first line: the process that serves it."""
    context = client.stream("GET", "/api/v1/probe/stream")
    answer = await context.__aenter__()
    lines = answer.aiter_lines()
    held += [context, lines]
    return await anext(lines)


async def test_reload_and_ctrl_c_do_not_wait_for_open_streams_and_sockets(
    site: Path, server: tuple[str, subprocess.Popen[bytes]]
) -> None:
    url, process = server
    held: list[object] = []
    async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
        await until_it_answers(client)
        before = await first_event(client, held)
        async with websockets.connect(f"{url.replace('http', 'ws')}/probe/echo") as open_socket:
            await open_socket.send("hello")
            assert await open_socket.recv() == "hello"
            (site / "project" / "pages.py").write_text((site / "project" / "pages.py").read_text() + "\n# edited\n")
            with anyio.fail_after(SECONDS):
                await open_socket.wait_closed()
        await until_it_answers(client)
        assert await first_event(client, held) != before
        os.killpg(process.pid, signal.SIGINT)
        with anyio.fail_after(SECONDS):
            assert await anyio.to_thread.run_sync(process.wait) == 0
