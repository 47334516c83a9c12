"""Live parts of a page: they move without a reload, and let go of the server when nobody looks."""

import asyncio
from uuid import uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import Route, expect

from project.core.live import Bus, Event
from tests.browser.visitors import PLAIN, Visit

SECONDS = 8  # less than a heartbeat
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def bus(site: FastAPI) -> Bus:
    """The bus of the site that the browser visits."""
    found: Bus = site.state.runtime.bus
    return found


@pytest.fixture
def topic() -> str:
    return uuid4().hex


async def until(bus: Bus, topic: str, *, listeners: int) -> None:
    async with asyncio.timeout(SECONDS):
        while bus.listeners(topic) != listeners:  # noqa: ASYNC110 - the bus tells nobody who comes and goes
            await asyncio.sleep(0.02)


async def test_progress_moves_without_a_reload_and_ends(visit: Visit, bus: Bus, topic: str) -> None:
    page = (await visit()).page
    opened: list[str] = []
    page.on("request", lambda asked: opened.append(topic) if asked.url.endswith("/events") else None)
    await page.goto(f"/lab/progress?topic={topic}")
    bar = page.get_by_role("progressbar", name="Begun")
    await expect(bar).to_have_attribute("value", "1")
    await page.evaluate("document.body.dataset.marked = ''")
    await bus.publish(topic, Event("progress", {"note": "At <it>", "done": 7}))
    await expect(page.get_by_role("progressbar", name="At <it>")).to_have_attribute("value", "7")
    await bus.publish(topic, Event("progress", {"note": "Done", "done": 10}))
    await expect(page.get_by_role("progressbar", name="Done")).to_have_attribute("value", "10")
    await until(bus, topic, listeners=0)
    await page.evaluate(HIDE, False)  # whoever comes back to the tab finds it as it was
    await expect(page.locator("body[data-marked]")).to_have_count(1)
    await expect(page.get_by_role("progressbar", name="Done")).to_be_visible()
    assert opened == [topic]
    await expect(page.locator("[aria-live=polite]").filter(has=page.get_by_role("progressbar"))).to_have_count(1)


async def test_a_link_elsewhere_closes_the_stream_and_back_opens_it_again(visit: Visit, bus: Bus, topic: str) -> None:
    page = (await visit()).page
    await page.goto(f"/lab/progress?topic={topic}")
    await until(bus, topic, listeners=1)
    await page.evaluate("document.body.dataset.marked = ''")
    await page.get_by_role("link", name="Elsewhere").click()
    await expect(page.get_by_role("heading", name="Wish")).to_be_visible()
    await expect(page.locator("body[data-marked]")).to_have_count(1)  # a boosted link: the document is the same
    await until(bus, topic, listeners=0)
    await page.go_back()
    await expect(page.get_by_role("progressbar", name="Begun")).to_be_visible()
    await until(bus, topic, listeners=1)


async def test_a_tab_in_the_background_lets_go(visit: Visit, bus: Bus, topic: str) -> None:
    page = (await visit()).page
    await page.goto(f"/lab/progress?topic={topic}")
    await until(bus, topic, listeners=1)
    await page.evaluate(HIDE, True)
    await until(bus, topic, listeners=0)
    await page.evaluate(HIDE, False)
    await until(bus, topic, listeners=1)


async def test_a_refusal_is_tried_again(visit: Visit, bus: Bus, topic: str) -> None:
    visitor = await visit()
    visitor.provokes = {503}
    refused = asyncio.Event()

    async def refuse(route: Route) -> None:
        refused.set()
        await route.fulfill(status=503)

    await visitor.page.route("**/events", refuse, times=1)
    await visitor.page.goto(f"/lab/progress?topic={topic}")
    await asyncio.wait_for(refused.wait(), SECONDS)
    await expect(visitor.page.get_by_role("progressbar", name="Begun")).to_be_visible()


async def test_without_javascript_there_is_a_link_to_refresh(visit: Visit, topic: str) -> None:
    page = (await visit(PLAIN)).page
    await page.goto(f"/lab/progress?topic={topic}")
    await expect(page.get_by_role("progressbar", name="Waiting")).to_be_visible()
    async with page.expect_request(f"**/lab/progress?topic={topic}"):
        await page.get_by_role("link", name="Refresh").click()
    await expect(page.get_by_role("progressbar", name="Waiting")).to_be_visible()
