"""The development server, really started: reload and Ctrl-C never hang, whatever is open."""

import os
import re
import signal
from pathlib import Path

import anyio
import httpx2
import websockets

from project.core.management.runserver import _banner
from project.core.testing.plugin import MakeSettings
from tests.core.conftest import SECONDS, Server, until_it_answers


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


def test_the_banner_says_where_mail_is_and_who_runs_the_jobs(make_settings: MakeSettings) -> None:
    first_run = _banner(make_settings(DEBUG=True), "http://127.0.0.1:8000", reload=True)
    assert "http://127.0.0.1:8000/_dev/mail" in first_run
    assert "worker" not in first_run
    with_redis = _banner(make_settings(REDIS_URL="redis://127.0.0.1:6379/0"), "http://127.0.0.1:8000", reload=True)
    assert "`python3 manage.py worker`" in with_redis
    assert "_dev/mail" not in with_redis


async def test_mails_lead_to_the_port_that_is_served(server: Server) -> None:
    url, _ = server
    async with httpx2.AsyncClient(base_url=url, timeout=SECONDS) as client:
        await until_it_answers(client)
        person = {"email": "ann@example.com", "password": "correct horse battery"}
        (await client.post("/api/v1/accounts/users", json=person)).raise_for_status()
        with anyio.fail_after(SECONDS):
            letters: list[str] = []
            while not letters:
                letters = re.findall('/_dev/mail/[^"]+', (await client.get("/_dev/mail")).text)
        assert f"{url}/accounts/verify?token=" in (await client.get(letters[0])).text
