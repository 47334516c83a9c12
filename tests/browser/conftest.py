"""A real server and a real browser: Debian's Chromium, driven by Playwright."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SECONDS = 30


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a browser these tests are not run, and the last lines say so."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if CHROMIUM is None and here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]
        config.stash.setdefault(MISSING, len(here))


MISSING = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if missing := config.stash.get(MISSING, 0):
        terminalreporter.write_line(f"{missing} browser tests were not run: there is no Chromium on this machine.")


@pytest.fixture(scope="session")
def site_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`manage.py runserver` with an empty database of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {
        "MANAGE_NO_BOOTSTRAP": "1",
        "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz",
        "DEBUG": "true",
        "DATABASE_URL": f"sqlite:///{tmp_path_factory.mktemp('browser')}/db.sqlite3",
    }
    words = [sys.executable, "manage.py", "runserver", str(port), "--noreload"]
    server = subprocess.Popen(words, cwd=ROOT, env=env, process_group=0)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{url}/health/live", timeout=SECONDS).close()
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(SECONDS)


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One headless Chromium for all tests."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@pytest.fixture
async def page(browser: Browser, site_url: str) -> AsyncIterator[Page]:
    """A page of a new visitor; a refused resource, a script error or a request off the site fails the test."""
    context = await browser.new_context(base_url=site_url, viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(line.text) if "Content Security Policy" in line.text else None)
    page.on(
        "request",
        lambda request: trouble.append(request.url) if not request.url.startswith((site_url, "data:")) else None,
    )
    yield page
    await context.close()
    assert trouble == []
