"""Everything by keyboard alone: each control is reached in order, its focus is seen, and it obeys."""

from uuid import uuid4

from playwright.async_api import Locator, Page, expect

from apps.accounts.testing import PASSWORD
from tests.browser.visitors import PLAIN, WITH_KEYBOARD, Look, Visit, labelled, of_look

# Every control that can be seen and used, in the document's order; then which of them has the focus, and its ring.
LIST = """() => {
  window.controls = [...document.querySelectorAll(
    "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']")]
    .filter(each => !each.disabled && each.checkVisibility({visibilityProperty: true}));
  return controls.map(each => each.outerHTML.slice(0, 80));
}"""
WHERE = """() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
  const ownParts = ["date", "time", "datetime-local"].includes(here.type); // the browser rings the part within
  const ring = ownParts || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
  const inside = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight + 2 && box.right <= innerWidth + 2;
  return [controls.indexOf(here), ring && inside];
}"""


async def tab_to(page: Page, wanted: Locator, most: int = 40) -> None:
    """Press Tab until the control has the focus."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by {most} times Tab")


@of_look(WITH_KEYBOARD)
async def test_tab_reaches_every_control_in_order_with_a_ring_that_is_seen(visit: Visit, look: Look) -> None:
    for who, paths in {"": ["/", "/accounts/signup"], "member": ["/accounts/profile", "/accounts/delete"]}.items():
        page = (await visit(look, who=who)).page
        for path in paths:
            await page.goto(path)
            controls = await page.evaluate(LIST)
            walked = []
            for _ in controls:
                await page.keyboard.press("Tab")
                number, seen = await page.evaluate(WHERE)
                assert seen, f"{path}: the focus is not seen on {controls[number]}"
                walked.append(number)
            assert walked == list(range(len(controls))), (path, [controls[number] for number in walked])


@of_look(WITH_KEYBOARD)
async def test_the_skip_link_comes_first_shows_itself_and_leads_to_the_content(visit: Visit, look: Look) -> None:
    page = (await visit(look)).page
    await page.goto("/accounts/login")
    await page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport(ratio=1)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await tab_to(page, labelled(page, "E-mail"), most=1)


@of_look(WITH_KEYBOARD)
async def test_somebody_signs_up_without_a_mouse(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    visitor.provokes = {422}
    email = f"{uuid4().hex[:12]}@example.com"
    await page.goto("/")
    await tab_to(page, page.get_by_role("link", name="Sign up").first)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url("/accounts/signup")
    await tab_to(page, labelled(page, "E-mail"))
    await page.keyboard.type(email)
    await tab_to(page, labelled(page, "Password"), most=1)
    await page.keyboard.type(email)
    await page.keyboard.press("Enter")

    summary = page.get_by_role("alert").filter(has=page.get_by_role("link"))
    await expect(summary).to_be_focused()
    await tab_to(page, summary.get_by_role("link").first, most=1)
    await page.keyboard.press("Enter")
    await expect(labelled(page, "Password")).to_be_focused()
    await page.keyboard.type(PASSWORD)
    await tab_to(page, page.get_by_role("button", name="Show Password"), most=1)
    await page.keyboard.press("Space")
    await expect(labelled(page, "Password")).to_have_attribute("type", "text")
    await tab_to(page, page.get_by_role("button", name="Sign up"))
    await page.keyboard.press("Space")
    await expect(page.get_by_text("Welcome!")).to_be_visible()

    await tab_to(page, page.get_by_role("button", name="Dismiss"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Welcome!")).to_have_count(0)
    switch = page.get_by_role("button", name="theme")
    pressed = await switch.get_attribute("aria-pressed")
    await switch.focus()
    await page.keyboard.press("Space")
    await expect(switch).to_have_attribute("aria-pressed", "false" if pressed == "true" else "true")
    await page.get_by_role("button", name="Log out").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("You are logged out.")).to_be_visible()


async def test_without_javascript_the_refused_form_has_the_focus_too(visit: Visit) -> None:
    visitor = await visit(PLAIN)
    page = visitor.page
    visitor.provokes = {422}
    await page.goto("/accounts/login")
    await labelled(page, "E-mail").fill("nobody@example.com")
    await labelled(page, "Password").fill("not the password")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_be_focused()
