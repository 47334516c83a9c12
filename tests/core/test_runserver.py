"""The development server, really started: reload and Ctrl-C never hang, whatever is open."""

import asyncio
import os
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

SECONDS = 20
Server = tuple[str, subprocess.Popen[bytes]]


@pytest.fixture
async def server(
    site_copy: Path, site_environment: dict[str, str]
) -> AsyncIterator[tuple[str, subprocess.Popen[bytes]]]:
    """`manage.py runserver` on a free port, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = site_environment | {"INSTALLED_APPS": "project,apps.accounts,tests.core.probe"}
    words = [sys.executable, "manage.py", "runserver", str(port)]
    process = subprocess.Popen(words, cwd=site_copy, env=env, process_group=0)  # noqa: ASYNC220
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


async def test_reload_and_ctrl_c_do_not_wait_for_open_streams_and_sockets(site_copy: Path, server: Server) -> None:
    url, process = server
    held: list[object] = []
    async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
        await until_it_answers(client)
        before = await first_event(client, held)
        async with websockets.connect(f"{url.replace('http', 'ws')}/probe/echo") as open_socket:
            await open_socket.send("hello")
            assert await open_socket.recv() == "hello"
            (site_copy / "project" / "pages.py").write_text(
                (site_copy / "project" / "pages.py").read_text() + "\n# edited\n"
            )
            with anyio.fail_after(SECONDS):
                await open_socket.wait_closed()
        await until_it_answers(client)
        assert await first_event(client, held) != before
        os.killpg(process.pid, signal.SIGINT)
        with anyio.fail_after(SECONDS):
            assert await anyio.to_thread.run_sync(process.wait) == 0
