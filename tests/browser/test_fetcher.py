"""A batch in a real browser: it moves by itself, and its results are there when it is done."""

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from playwright.async_api import expect

from apps.fetcher.client import Transport
from tests.browser.visitors import SCRIPTED, Look, Visit, of_look
from tests.fetcher.conftest import Script


@pytest.fixture
def script(site: FastAPI, site_url: str) -> Iterator[Script]:
    """What is fetched waits until the test lets it through."""
    runtime = site.state.runtime
    usual = runtime.find(Transport)
    runtime.provide(Transport, Script(**{"b.example": 404}))
    yield runtime.find(Transport)
    runtime.provide(Transport, usual)


@of_look(SCRIPTED)
async def test_a_batch_moves_by_itself(visit: Visit, script: Script, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    await page.goto("/fetcher/batches/new")
    await page.get_by_label("Title").fill("Links")
    urls = [f"http://{name}.example/{number}" for name in "abc" for number in range(40)]
    await page.get_by_label("URLs").fill("\n".join(urls))
    await page.get_by_role("button", name="Fetch").click()
    await expect(page.get_by_text("Running", exact=True)).to_be_visible()
    await expect(page.get_by_text("No results yet")).to_be_visible()
    script.gate.set()
    await expect(page.get_by_text("120 / 120")).to_be_visible()
    await expect(page.get_by_role("button", name="Try 40 again")).to_be_visible()
    rows = page.locator("#results tbody tr:not(.more)")
    await expect(rows).to_have_count(50)
    await page.locator(".more").scroll_into_view_if_needed()
    await expect(rows).to_have_count(100)
    await page.get_by_label("Outcome", exact=True).select_option("refused")
    await expect(rows).to_have_count(40)
    await expect(page).to_have_url(re.compile("outcome=refused"))
    await page.get_by_role("searchbox").fill("b.example/39")
    await expect(rows).to_have_count(1)
    async with page.expect_download() as download:
        await page.get_by_role("link", name="CSV").click()
    text = (await (await download.value).path()).read_text()
    assert text.splitlines()[1].split(",")[1] == "http://b.example/39"
    assert len(text.splitlines()) == 2
