"""What the macros do in a real browser, where the hand and the focus are."""

import pytest
from playwright.async_api import Page, expect

from tests.browser.visitors import PHONE_LIGHT, Visit

GALLERY = "/_dev/ui"


@pytest.fixture
async def page(visit: Visit) -> Page:
    """A visitor's page."""
    return (await visit()).page


async def test_deleting_asks_in_a_dialog_that_the_keyboard_masters(page: Page) -> None:
    await page.goto(GALLERY)
    rows = page.locator("#delete .row")
    opener = rows.nth(0).get_by_role("link", name="Delete")
    await opener.focus()
    await page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Delete Lisbon?")
    await expect(dialog).to_be_visible()
    await expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await expect(opener).to_be_focused()
    await opener.click()
    await dialog.get_by_role("button", name="Keep it").click()
    await expect(rows).to_have_count(3)
    await opener.click()
    await dialog.get_by_role("button", name="Delete").click()
    await expect(rows).to_have_count(2)
    await expect(rows.nth(0).get_by_role("link", name="Delete")).to_be_focused()


async def test_searching_while_typing_keeps_the_focus_and_the_address(page: Page) -> None:
    await page.goto(GALLERY)
    box = page.get_by_role("searchbox", name="Find a city")
    await box.press_sequentially("ber")
    await expect(page.locator("#results li")).to_have_text(["Berlin", "Bern"])
    await expect(box).to_be_focused()
    await expect(page).to_have_url("/_dev/ui/search?q=ber")


async def test_a_list_goes_on_as_one_scrolls_until_its_end(page: Page) -> None:
    await page.goto(GALLERY)
    rows = page.locator("#more .row")
    while (before := await rows.count()) < 60:
        await rows.last.scroll_into_view_if_needed()
        await page.locator("#more ul").evaluate("list => list.scrollTop = list.scrollHeight")
        await expect(rows).not_to_have_count(before)
    await expect(rows).to_have_count(60)
    await expect(page.locator("#more .more")).to_have_count(0)


async def test_editing_in_place_leads_the_focus_there_and_back(page: Page) -> None:
    await page.goto(GALLERY)
    edit = page.get_by_role("link", name="Edit Title")
    await edit.click()
    box = page.locator("#demo-title").get_by_label("Title")
    await expect(box).to_be_focused()
    await page.get_by_role("link", name="Cancel").first.click()
    await expect(edit).to_be_focused()
    await edit.click()
    await expect(box).to_be_focused()
    await box.fill("Better plan")
    await box.press("Enter")
    await expect(page.locator("#demo-title")).to_contain_text("Better plan")
    await expect(edit).to_be_focused()


async def test_a_tab_is_an_address_and_back_leads_to_the_one_before(page: Page) -> None:
    await page.goto(GALLERY)
    await page.get_by_role("link", name="Billing").click()
    await expect(page.get_by_text("What it costs, and who pays.")).to_be_visible()
    await expect(page).to_have_url("/_dev/ui/tabs/billing")
    await page.go_back()
    await expect(page.get_by_text("What has happened since you were here.")).to_be_visible()


async def test_moments_are_told_from_now(page: Page) -> None:
    await page.goto(GALLERY)
    await expect(page.locator("#time time").nth(0)).to_have_text("3 minutes ago")
    await expect(page.locator("#time time").nth(1)).to_contain_text("UTC")


async def test_live_validation_marks_its_control_and_unmarks_it(page: Page) -> None:
    await page.goto(GALLERY)
    answers = iter(['<p class="field-error">Too short.</p>', ""])
    await page.route("**/live", lambda route: route.fulfill(body=next(answers), content_type="text/html"))
    box = page.locator("#sample-name")
    asking = {"post": "/live", "target": "#sample-name-notes", "swap": "innerHTML", "trigger": "input"}
    await box.evaluate(
        "(input, asking) => { for (const key in asking) input.setAttribute('hx-' + key, asking[key]); }", asking
    )
    await box.evaluate("input => htmx.process(input)")
    await box.fill("x")
    await expect(box).to_have_attribute("aria-invalid", "true")
    await expect(page.locator("#sample-name-notes")).to_have_text("Too short.")
    await box.fill("xy")
    await expect(box).not_to_have_attribute("aria-invalid", "true")


async def test_a_phone_shows_every_component_without_scrolling_sideways(visit: Visit) -> None:
    page = (await visit(PHONE_LIGHT)).page
    await page.goto(GALLERY)
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


async def test_a_boosted_link_brings_the_gallery_with_its_style(page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("link", name="Look at the components").click()
    await expect(page.locator("#button")).to_have_css("overflow", "clip")


async def test_a_chosen_file_outlives_a_refused_form(visit: Visit) -> None:
    visitor = await visit()
    visitor.provokes, page = {422}, visitor.page
    await page.goto(GALLERY)
    form = page.locator("form#sample")
    await form.get_by_label("Name", exact=True).fill("Ada")
    await form.get_by_label("E-mail").fill("ada@home")  # good enough for the browser, not for the server
    await form.get_by_label("Password", exact=True).fill("correct horse")
    await form.get_by_label("Paper").set_input_files(
        {"name": "plan.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"}
    )
    await form.get_by_role("button", name="Send").click()
    await expect(form.locator(".summary")).to_be_focused()
    await form.get_by_label("E-mail").fill("ada@example.com")
    await form.get_by_label("Password", exact=True).fill("correct horse")
    await form.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("All is well, Ada, with plan.pdf of 8 bytes.")).to_be_visible()
