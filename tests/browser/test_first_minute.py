"""What a newcomer does in the browser in the first minute."""

from uuid import uuid4

from playwright.async_api import Page, expect

PASSWORD = "correct horse battery"


async def sign_up(page: Page) -> str:
    email = f"{uuid4().hex}@example.com"
    await page.goto("/accounts/signup")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_text("Welcome!")).to_be_visible()
    return email


async def test_a_visitor_signs_up_is_refused_nicely_and_logs_out_and_in(page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("link", name="Sign up").first.click()
    await page.get_by_label("E-mail").fill("ann@example.com")
    await page.get_by_label("Password", exact=True).fill("ann@example.com")
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_text("Choose a password that is not your e-mail.").first).to_be_visible()
    await expect(page.get_by_label("E-mail")).to_have_value("ann@example.com")
    await expect(page.get_by_label("Password", exact=True)).to_have_value("")
    email = await sign_up(page)
    await page.get_by_role("button", name="Log out").first.click()
    await page.goto("/accounts/profile")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await expect(page).to_have_url("/accounts/profile")
    await expect(page.get_by_role("main").get_by_text(email)).to_be_visible()


async def test_the_docs_authorize_button_works_offline(page: Page) -> None:
    email = await sign_up(page)
    await page.context.clear_cookies()
    await page.goto("/api/docs")
    await page.locator(".btn.authorize").click()
    await page.locator("#oauth_username").fill(email)
    await page.locator("#oauth_password").fill(PASSWORD)
    await page.locator(".auth-btn-wrapper .authorize").click()
    await expect(page.get_by_text("Authorized").first).to_be_visible()
    await page.locator(".btn-done").click()
    await page.locator("#operations-accounts-accounts_get_me").click()
    await page.get_by_role("button", name="Try it out").click()
    await page.get_by_role("button", name="Execute").click()
    await expect(page.locator(".live-responses-table")).to_contain_text(email)


async def test_without_javascript_the_same_forms_work(page: Page) -> None:
    assert page.context.browser is not None
    plain = await page.context.browser.new_context(base_url=page.url, java_script_enabled=False)
    visitor = await plain.new_page()
    await page.goto("/")
    await visitor.goto(f"{page.url}accounts/signup")
    await visitor.get_by_label("E-mail").fill("ann@example.com")
    await visitor.get_by_label("Password", exact=True).fill("ann@example.com")
    await visitor.get_by_role("button", name="Sign up").click()
    await expect(visitor.get_by_text("Choose a password that is not your e-mail.").first).to_be_visible()
    await visitor.get_by_label("E-mail").fill(f"{uuid4().hex}@example.com")
    await visitor.get_by_label("Password", exact=True).fill(PASSWORD)
    await visitor.get_by_role("button", name="Sign up").click()
    await expect(visitor.get_by_text("Welcome!")).to_be_visible()
    await plain.close()
