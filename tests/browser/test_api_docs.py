"""The API docs, drawn by Swagger UI from this site's own files."""

from playwright.async_api import expect

from apps.accounts.testing import PASSWORD
from tests.browser.visitors import PLAIN, SCRIPTED, Look, Visit, of_look


@of_look(SCRIPTED)
async def test_the_authorize_button_and_a_call_work_offline(visit: Visit, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    await page.context.clear_cookies()
    await page.goto("/")
    await visitor.press(page.get_by_role("link", name="Read the API docs"))
    await page.locator(".btn.authorize").click()
    await page.locator("#oauth_username").fill(visitor.email)
    await page.locator("#oauth_password").fill(PASSWORD)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await expect(page.get_by_text("Authorized").first).to_be_visible()
    await page.locator(".btn-done").click()
    await page.locator("#operations-accounts-accounts_get_me").click()
    await page.get_by_role("button", name="Try it out").click()
    await page.get_by_role("button", name="Execute").click()
    await expect(page.locator(".live-responses-table")).to_contain_text(visitor.email)
    assert await page.evaluate("document.documentElement.classList.contains('dark-mode')") is (look.theme == "dark")


async def test_without_javascript_they_say_where_the_description_is(visit: Visit) -> None:
    visitor = await visit(PLAIN)
    await visitor.page.goto("/api/docs")
    await visitor.press(visitor.page.get_by_role("link", name="/api/openapi.json"))
    await expect(visitor.page.locator("body")).to_contain_text('"openapi"')
