"""Things in a browser, with htmx and without."""

from apps.accounts.testing import MakeUser, SignIn
from project.core import AsyncSession
from project.core.scaffold.tests.walks import add_thing
from project.core.testing.pages import Page

URL = "/scaffold/things"


async def test_a_thing_is_added_changed_and_deleted(either_page: Page, sign_in: SignIn) -> None:
    await sign_in()
    page = await either_page.open(URL).click("New thing")
    await page.fill("Title", "Hello").submit("Save")
    assert (page.heading, page.messages) == ("Hello", ["Added."])
    await page.click("Edit").fill("Title", "x" * 100_000).submit("Save")
    assert list(page.errors) == ["Title"]
    await page.fill("Title", "Goodbye").submit("Save")
    assert (page.heading, page.messages) == ("Goodbye", ["Saved."])
    await page.click("Delete").submit("Delete")
    assert (page.url, page.messages) == (URL, ["Deleted."])
    assert "Goodbye" not in page.text


async def test_the_list_is_turned_searched_and_shortened(either_page: Page, sign_in: SignIn, db: AsyncSession) -> None:
    ann = await sign_in()
    for number in range(25):
        await add_thing(db, ann, title=f"Number {number}")
    page = await either_page.open(URL)
    assert "Page 1 of 2 · 25 in all" in page.text
    await page.click("Next")
    assert "Number 4" in page.text
    await page.fill("Search the things", "number 24").submit("Search")
    assert "Number 24" in page.text
    assert "Number 23" not in page.text
    await page.submit("Delete")
    assert page.messages == ["Deleted."]
    assert "Number 24" not in page.text


async def test_others_find_nothing(page: Page, sign_in: SignIn, make_user: MakeUser, db: AsyncSession) -> None:
    thing_id = await add_thing(db, await make_user("bob@example.com"))
    assert (await page.open(URL)).url.startswith("/accounts/login")
    await sign_in()
    assert "No things yet" in (await page.open(URL)).text
    for path in ("", "/edit", "/delete"):
        assert (await page.open(f"{URL}/{thing_id}{path}")).status == 404
