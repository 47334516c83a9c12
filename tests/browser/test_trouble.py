"""When something goes wrong between a person and the site: they are told, and nothing happens twice."""

from contextlib import AsyncExitStack

from playwright.async_api import Browser, expect

from project.core.asgi import create_app
from project.core.conf import ROOT
from project.core.management import browsing
from project.core.management.environment.dotenv import data_dir
from project.core.testing.plugin import MakeSettings
from tests.browser.conftest import INSTALLED
from tests.browser.lab.app import GATE, GRANTED
from tests.browser.visitors import SCRIPTED, Look, Visit, labelled, of_look, visiting


@of_look(SCRIPTED)
async def test_a_refusal_that_is_no_form_is_told_in_its_own_words(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    visitor.provokes = {403, 429, 500}
    await page.goto("/lab/wish")
    told = page.get_by_role("alert")
    for answer, words in [
        ("forbidden", "Not for you."),
        ("too often", "Ten a minute are enough."),
        ("broken", "a bug of the lab"),  # in development; elsewhere nobody hears of it
    ]:
        await labelled(page, "Answer").select_option(answer)
        await labelled(page, "Note").fill(f"my words, {answer}")
        await visitor.press(page.get_by_role("button", name="Send"))
        await expect(told.get_by_text(words)).to_be_in_viewport()
        await expect(labelled(page, "Note")).to_have_value(f"my words, {answer}")
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await visitor.press(told.get_by_role("button", name="Dismiss"))
    await expect(told).to_have_count(0)


@of_look(SCRIPTED)
async def test_a_server_that_is_gone_is_told_and_what_was_typed_stays(
    browser: Browser, make_settings: MakeSettings, look: Look
) -> None:
    app = create_app(make_settings(DEBUG=True, DATA_DIR=data_dir(ROOT), INSTALLED_APPS=INSTALLED))
    async with AsyncExitStack() as server:
        url = await server.enter_async_context(browsing.serving(app))
        async with visiting(browser, url, look) as visitor:
            page = visitor.page
            await page.goto("/lab/wish")
            await labelled(page, "Note").fill("my words")
            await server.aclose()
            visitor.provokes = {0}
            await visitor.press(page.get_by_role("button", name="Send"))
            await expect(page.get_by_role("alert").get_by_text("could not be reached")).to_be_in_viewport()
            await expect(labelled(page, "Note")).to_have_value("my words")
            await expect(page.get_by_role("button", name="Send")).to_be_enabled()


@of_look(SCRIPTED)
async def test_a_double_click_and_a_second_enter_send_once(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    for twice in ("click", "Enter"):
        await page.goto("/lab/wish")
        await labelled(page, "Note").fill(twice)
        GATE.clear()
        if twice == "click":
            await page.get_by_role("button", name="Send").dblclick()
        else:
            await labelled(page, "Note").press("Enter")
            await labelled(page, "Note").press("Enter")
        GATE.set()
        await expect(page.get_by_text("Granted.")).to_be_visible()
    assert GRANTED == ["click", "Enter"]
