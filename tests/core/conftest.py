"""The probe app on a live database of its own, and the development server as a process of its own."""

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
from fastapi import FastAPI

from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.settings import Settings
from tests.core.probe import models

SECONDS = 20
Server = tuple[str, subprocess.Popen[bytes]]
INSTALLED = [*Settings.model_fields["INSTALLED_APPS"].default, "tests.core.probe"]


@pytest.fixture
async def probe_app(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The site with the probe app, its tables made, commits real."""
    async with (
        backend.copy() as url,
        running(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED)) as app,
    ):
        await models.create(app.state.runtime.database.engine)
        yield app


@pytest.fixture
def probe(probe_app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on it."""
    return new_client(probe_app)


@pytest.fixture
async def server(site_copy: Path, site_environment: dict[str, str]) -> AsyncIterator[Server]:
    """`manage.py runserver` on a free port, and its address; what it says on stderr is in the copy's `stderr`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = site_environment | {"INSTALLED_APPS": "project,apps.accounts,tests.core.probe"}
    words = [sys.executable, "manage.py", "runserver", str(port)]
    with (site_copy / "stderr").open("wb") as said:
        process = subprocess.Popen(words, cwd=site_copy, env=env, process_group=0, stderr=said)  # noqa: ASYNC220
    yield f"http://127.0.0.1:{port}", process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def until_it_answers(client: httpx2.AsyncClient) -> None:
    """Wait for the server."""
    with anyio.fail_after(SECONDS):
        while True:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
