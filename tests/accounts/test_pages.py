"""The pages as people use them: the same with JavaScript and without."""

from apps.accounts.testing import PASSWORD, MakeUser, SignIn
from project.core.testing.pages import Page


async def test_logging_in_leads_where_one_wanted_to_go(either_page: Page, make_user: MakeUser) -> None:
    await make_user()
    page = await either_page.open("/accounts/profile")
    assert (page.heading, page.url) == ("Log in", "/accounts/login?next=/accounts/profile")
    await page.fill("E-mail", "ann@example.com").fill("Password", "wrong").submit("Log in")
    assert page.summary == ["E-mail or password is not right."]
    await page.fill("Password", PASSWORD).check("Keep me logged in").submit("Log in")
    assert (page.url, page.heading) == ("/accounts/profile", "Your profile")


async def test_a_name_is_changed_and_the_account_deleted(either_page: Page, sign_in: SignIn) -> None:
    await sign_in()
    page = await either_page.open("/accounts/profile").fill("Name", "Ann").submit("Save")
    assert (page.messages, page.url) == (["Saved."], "/accounts/profile")
    await page.click("Delete account…").fill("Password", PASSWORD).submit("Delete my account")
    assert (page.messages, page.url) == (["Your account is deleted."], "/")
