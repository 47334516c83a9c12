"""A real server and a real browser: Debian's Chromium, driven by Playwright. One of each for all tests."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, expect

from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.conf import ROOT
from project.core.db.migrations import migrate_database
from project.core.management import browsing
from project.core.management.environment.dotenv import data_dir
from project.core.testing.plugin import NOTES, MakeSettings
from project.core.web.limits import Limiter
from project.settings import Settings
from tests.browser.lab.app import GATE, GRANTED
from tests.browser.visitors import DESKTOP_LIGHT, Look, Visit, Visitor, visiting

INSTALLED = [*Settings.model_fields["INSTALLED_APPS"].default, "tests.browser.lab"]
expect.set_options(timeout=10_000)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a browser these tests are not run, and the last lines say so."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if browsing.CHROMIUM is None and here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if item not in here]
        NOTES["browser"] = f"{len(here)} browser tests were not run: there is no Chromium on this machine."


@pytest.fixture(scope="session")
async def site(make_settings: MakeSettings, tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    """The site in development, with the lab and an empty database of its own."""
    path = tmp_path_factory.mktemp("browser") / "db.sqlite3"
    await migrate_database(f"sqlite+aiosqlite:///{path}")
    settings = make_settings(
        DEBUG=True, DATABASE_URL=f"sqlite:///{path}", DATA_DIR=data_dir(ROOT), INSTALLED_APPS=INSTALLED
    )
    app = create_app(settings)
    browsing.add_refusals(app)
    return app


@pytest.fixture(scope="session")
async def site_url(site: FastAPI) -> AsyncIterator[str]:
    """Where it is served."""
    async with browsing.serving(site) as url:
        yield url


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One headless Chromium for all tests."""
    async with browsing.browsing() as browser:
        yield browser


@pytest.fixture
async def visit(browser: Browser, site: FastAPI, site_url: str) -> AsyncIterator[Visit]:
    """Visitors of the site: `await visit(PHONE_DARK)`, or `await visit(who="staff")` for one who is signed in."""
    site.state.limiter = Limiter()
    GRANTED.clear()
    GATE.set()
    async with AsyncExitStack() as stack:

        async def come(look: Look = DESKTOP_LIGHT, *, who: str = "", **options: Any) -> Visitor:
            visitor = await stack.enter_async_context(visiting(browser, site_url, look, **options))
            if who:
                await sign_in(visitor, site, is_staff=who == "staff", is_superuser=who == "staff")
            return visitor

        yield come


@pytest.fixture
async def page(visit: Visit) -> Page:
    """The browser's page of somebody at a desk who may be refused things; the kit's `page` has no browser."""
    visitor = await visit(Look("small desk", 1280, 800))
    visitor.provokes = set(range(400, 600))
    return visitor.page


async def sign_in(visitor: Visitor, site: FastAPI, **values: Any) -> None:
    """Give the visitor an account and its session, without the cost of hashing."""
    visitor.email = f"{uuid4().hex[:12]}@example.com"
    user = await add_user(site, visitor.email, **values)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=site), base_url=visitor.site) as client:
        await sign_in_as(client, site, user)
        cookies = [{"name": name, "value": value, "url": visitor.site} for name, value in client.cookies.items()]
    await visitor.page.context.add_cookies(cookies)  # type: ignore[arg-type]
