"""The probe app on a live database of its own, and the development server as a process of its own."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel.ext.asyncio.session import AsyncSession

from apps.accounts.testing import SignIn, add_user, sign_in_as
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.settings import Settings
from tests.core.library.models import Kept
from tests.core.probe import models
from tests.core.shelf.admin import SECRET_TITLE, SHELF, with_shelf
from tests.core.shelf.models import AddBook, Book, Shelf

SECONDS = 60  # a busy machine takes its time
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
async def library(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The site with the library, on a database whose commits are real."""
    installed = [*Settings.model_fields["INSTALLED_APPS"].default, "tests.core.library"]
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, INSTALLED_APPS=installed)) as app:
        async with app.state.runtime.database.engine.begin() as connection:
            await connection.run_sync(Kept.metadata.create_all)
        yield app


@pytest.fixture
async def librarian(library: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client of root@example.com, a superuser."""
    client = new_client(library)
    user = await add_user(library, "root@example.com", is_staff=True, is_superuser=True)
    await sign_in_as(client, library, user)
    return client


@pytest.fixture
async def shelf(app: FastAPI, db: AsyncSession) -> FastAPI:
    """The site with the shelf, inside the test's transaction."""
    await (await db.connection()).run_sync(Shelf.metadata.create_all)
    await db.commit()
    return with_shelf(app)


@pytest.fixture
async def staff(shelf: FastAPI, new_client: NewClient, sign_in: SignIn) -> httpx2.AsyncClient:
    """A client of somebody who is staff, no superuser, and may do everything on the shelf."""
    client = new_client(shelf)
    await sign_in("staff@example.com", into=client, is_staff=True, permissions=SHELF)
    return client


@pytest.fixture
def clerk(shelf: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client of nobody yet."""
    return new_client(shelf)


@pytest.fixture
def add_book(db: AsyncSession) -> AddBook:
    """Add a book: `await add_book("Emma", pages=400)`."""

    async def add(title: str = "Dune", **values: Any) -> Book:
        book = Book(title=title, **values)
        db.add(book)
        await db.commit()
        return book

    return add


@pytest.fixture
async def book(shelf: FastAPI, add_book: AddBook) -> Book:
    """A book whose title nobody may see by chance."""
    return await add_book(SECRET_TITLE)


@contextmanager
def serving(site: Path, environment: dict[str, str], *options: str, by: str = "runserver") -> Iterator[Server]:
    """`manage.py runserver`, or `serve`, on a free port, and its address; its stderr is in the site's `stderr`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = ["--bind", f"127.0.0.1:{port}"] if by == "serve" else [str(port)]
    words = [sys.executable, "manage.py", by, *address, *options]
    with (site / "stderr").open("wb") as said:
        process = subprocess.Popen(words, cwd=site, env=environment, process_group=0, stderr=said)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def server(site_copy: Path, site_environment: dict[str, str]) -> Iterator[Server]:
    """The copy, served with the probe app."""
    with serving(site_copy, site_environment | {"INSTALLED_APPS": "project,apps.accounts,tests.core.probe"}) as server:
        yield server


async def until_it_answers(client: httpx2.AsyncClient) -> None:
    """Wait for the server."""
    with anyio.fail_after(SECONDS):
        while True:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx2.TransportError:
                await asyncio.sleep(0.05)
