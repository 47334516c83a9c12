"""Dark and light: as the system wishes until somebody chooses, and then everywhere."""

import re

from playwright.async_api import Page, expect

from tests.browser.lab.app import GATE
from tests.browser.visitors import ALL_FOUR, PLAIN, SCRIPTED, Look, Visit, of_look


async def is_dark(page: Page) -> bool:
    """What a person sees, not which attribute says so."""
    colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) < 384


@of_look(ALL_FOUR)
async def test_a_chosen_theme_stays_on_every_page_and_after_a_reload(visit: Visit, look: Look) -> None:
    visitor = await visit(look, reduced_motion="reduce")
    page = visitor.page
    dark = look.theme == "dark"
    switch = page.get_by_role("button", name="theme")
    await page.goto("/")
    assert await is_dark(page) is dark
    await expect(switch).to_have_attribute("aria-pressed", str(dark).lower())
    await visitor.press(switch)
    await expect(switch).to_have_attribute("aria-pressed", str(not dark).lower())
    assert await is_dark(page) is not dark
    await visitor.press(page.get_by_role("link", name="Log in").first)
    await expect(page).to_have_url("/accounts/login")
    await expect(switch).to_have_attribute("aria-pressed", str(not dark).lower())
    assert await is_dark(page) is not dark
    await page.reload()
    assert await is_dark(page) is not dark
    await visitor.press(switch)
    assert await is_dark(page) is dark


@of_look([*ALL_FOUR, PLAIN])
async def test_without_a_choice_the_system_decides(visit: Visit, look: Look) -> None:
    page = (await visit(look)).page
    await page.goto("/accounts/login")
    assert await is_dark(page) is (look.theme == "dark")


@of_look(SCRIPTED)
async def test_nothing_moves_for_those_who_asked_for_that(visit: Visit, look: Look) -> None:
    moving = {}
    for wish in ("no-preference", "reduce"):
        visitor = await visit(look, reduced_motion=wish)
        page = visitor.page
        await page.goto("/lab/wish")
        GATE.clear()
        await visitor.press(page.get_by_role("button", name="Send"))
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        moving[wish] = await page.evaluate("document.getAnimations().length")
        GATE.set()
        await expect(page.get_by_text("Granted.")).to_be_visible()
    assert moving["no-preference"] > 0
    assert moving["reduce"] == 0
