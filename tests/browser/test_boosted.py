"""What htmx adds: links without a reload, the focus on what is new, fields checked as one leaves them."""

import re

from playwright.async_api import expect

from project.core.management import browsing
from tests.browser.lab.app import GATE, GRANTED
from tests.browser.test_keyboard import LIST, WHERE, tab_to
from tests.browser.visitors import PLAIN, SCRIPTED, WITH_KEYBOARD, Look, Visit, labelled, of_look
from tests.core.axe import broken

HAS_FOCUS = "main => main.contains(document.activeElement)"


@of_look(WITH_KEYBOARD)
async def test_after_following_a_link_the_focus_is_on_the_new_content(visit: Visit, look: Look) -> None:
    page = (await visit(look)).page
    await page.goto("/")
    await page.evaluate("window.mark = 'not reloaded'")
    await tab_to(page, page.get_by_role("link", name="Log in").first)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Log in")).to_be_visible()
    await expect(page).to_have_url("/accounts/login")
    await expect(page).to_have_title("Log in · Uptempo")
    assert await page.evaluate("window.mark") == "not reloaded"
    assert await page.get_by_role("main").evaluate(HAS_FOCUS)
    await tab_to(page, labelled(page, "E-mail"), most=1)
    await page.go_back()
    await expect(page).to_have_title("Uptempo")
    await expect(page.get_by_role("main")).to_have_count(1)


@of_look(SCRIPTED)
async def test_a_field_is_checked_when_one_leaves_it_and_nothing_else_happens(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    visitor.provokes = {422}
    await page.goto("/accounts/signup")
    for label, text in {"Name": "Ann", "Password": "a quite new password"}.items():  # without an event, so no check
        await labelled(page, label).evaluate("(field, text) => field.value = text", text)
    email = labelled(page, "E-mail")
    await email.fill("not an address")
    await email.press("Tab")
    await expect(email).to_have_attribute("aria-invalid", "true")
    await expect(email).to_have_accessible_description(re.compile("@"))
    await expect(labelled(page, "Password")).to_be_focused()
    await expect(labelled(page, "Password")).to_have_value("a quite new password")
    await expect(labelled(page, "Name")).to_have_value("Ann")
    await expect(page).to_have_url("/accounts/signup")
    await email.fill("ann@example.com")
    await email.press("Tab")
    await expect(email).not_to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Create your account")


async def test_without_javascript_a_double_click_has_one_effect_too(visit: Visit) -> None:
    page = (await visit(PLAIN)).page
    await page.goto("/lab/wish")
    await labelled(page, "Note").fill("twice")
    GATE.clear()
    await page.get_by_role("button", name="Send").dblclick(no_wait_after=True)
    GATE.set()
    await expect(page.get_by_text("Granted.")).to_be_visible()
    assert GRANTED == ["twice"]


@of_look(WITH_KEYBOARD)
async def test_the_page_of_all_components_is_accessible_and_walked_by_tab(visit: Visit, look: Look) -> None:
    page = (await visit(look, reduced_motion="reduce")).page
    assert await browsing.show(page, "/_dev/ui")
    controls = await page.evaluate(LIST)
    reached = set()
    for _ in controls:
        await page.keyboard.press("Tab")
        number, seen = await page.evaluate(WHERE)
        if not seen:  # the endless list above may have grown just now and pushed it away
            await page.keyboard.press("Shift+Tab")
            await page.keyboard.press("Tab")
            number, seen = await page.evaluate(WHERE)
        assert seen, f"the focus is not seen on {controls[number]}"
        reached.add(number)
    assert len(reached) > 20
    assert not await broken(page, "/_dev/ui")
