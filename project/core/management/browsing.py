"""A real browser on a site of this process: what the browser tests and `manage.py screenshots` share."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from project.core.admin import own
from project.core.web.server import SOCKETS

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
REFUSAL_PATHS = [f"/_refusal/{status}" for status in (400, 403, 404, 405, 409, 412, 413, 422, 429, 500, 503)]
# Too long, no address, or nothing: the browser's own checks are off, so that the server is the one to refuse.
SPOIL = """form => {
  form.noValidate = true;
  for (const input of form.querySelectorAll("input:not([type=hidden]), textarea"))
    input.value = input.type === "email" ? "not an address" : "x".repeat(input.maxLength + 1);
  form.requestSubmit();
}"""


class _Server(uvicorn.Server):
    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        return nullcontext()


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Serve an app, its lifespan run, on a free port of this machine; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, lifespan="off", log_level="error", access_log=False, timeout_graceful_shutdown=1, **SOCKETS
    )
    server = _Server(config)
    async with app.router.lifespan_context(app):
        task = asyncio.create_task(server.serve([listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await task


@asynccontextmanager
async def browsing(**options: Any) -> AsyncIterator["Browser"]:
    """One headless Chromium: this machine's own, never a downloaded one; `options` are those of Playwright's launch."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET, **options)
        yield browser
        await browser.close()


def page_paths(app: FastAPI) -> list[str]:
    """The address of every page that takes no parameter, and of the admin's index and lists."""
    routes = [each for each in iter_route_contexts(app.routes) if "GET" in (each.methods or ())]
    shown = [each.path or "/" for each in routes if not getattr(each, "include_in_schema", True)]
    apps = [view for each in app.state.runtime.registry.apps for view in each.admin if view.is_model]
    return [path for path in shown if "{" not in path and path != "/live/stream"] + [  # which never ends
        "/admin/",
        *(f"/admin/{view.identity}/list" for view in [*apps, *own.VIEWS]),
    ]


def add_refusals(app: FastAPI) -> None:
    """Let each of REFUSAL_PATHS answer with its error page."""

    async def refuse(status: int) -> None:
        raise HTTPException(status)

    app.add_api_route("/_refusal/{status}", refuse, include_in_schema=False)


async def show(page: "Page", path: str) -> bool:
    """Open an address; False when there is no page for this visitor: it leads elsewhere, is closed, or is no HTML."""
    answer = await page.request.get(path, max_redirects=0)  # drawing what is none would take long
    if "html" not in answer.headers.get("content-type", "") or not (answer.ok or path in REFUSAL_PATHS):
        return False
    await page.goto(path)
    return urlsplit(page.url).path == urlsplit(path).path


async def show_refused(page: "Page") -> bool:
    """Send the page's own form with values that no schema takes; False when there is none or all was taken."""
    form = page.locator("main form[method=post]:has(input:not([type=hidden]), textarea)").first
    if not await form.count():
        return False
    async with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        await form.evaluate(SPOIL)
    if (await answered.value).status < 400:
        return False
    await page.locator("[role=alert]").first.wait_for()
    return True
