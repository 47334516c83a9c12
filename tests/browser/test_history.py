"""Back and Forward: always a whole page, the right one, and never that of somebody who has left."""

import re
from collections.abc import Awaitable, Callable

from fastapi import FastAPI
from playwright.async_api import Page, expect

from project.core.management import browsing
from tests.browser.conftest import sign_in
from tests.browser.visitors import DESKTOP_LIGHT, EVERY, PLAIN, Look, Visit, labelled, of_look, visiting


async def expect_whole(page: Page, path: str, heading: str) -> None:
    """The page of that address with its frame, once."""
    await expect(page).to_have_url(path)
    await expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    for role in ("banner", "main", "contentinfo"):
        await expect(page.get_by_role(role)).to_have_count(1)
    assert await page.title()


async def go(way: Callable[..., Awaitable[object]]) -> None:
    """Back or forward, until the page stands there again: htmx lets the browser load it anew."""
    page: Page = way.__self__  # type: ignore[attr-defined]
    async with page.expect_event("load"):
        await way(wait_until="commit")


@of_look(EVERY)
async def test_back_and_forward_around_a_refused_form_show_whole_pages(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    visitor.provokes = {422}
    await page.goto("/")
    home = await page.get_by_role("heading", level=1).inner_text()
    await visitor.press(page.get_by_role("link", name="Log in").first)
    await labelled(page, "E-mail").fill("nobody@example.com")
    await labelled(page, "Password").fill("not the password")
    await visitor.press(page.get_by_role("button", name="Log in"))
    await expect(page.get_by_text("E-mail or password is not right.").first).to_be_visible()
    await visitor.press(page.get_by_role("link", name="Create an account"))
    await expect_whole(page, "/accounts/signup", "Create your account")
    await go(page.go_back)
    await expect_whole(page, "/accounts/login", "Log in")
    await go(page.go_back)
    await expect_whole(page, "/accounts/login" if look is PLAIN else "/", "Log in" if look is PLAIN else home)
    await go(page.go_forward)
    await expect_whole(page, "/accounts/login", "Log in")


@of_look(EVERY)
async def test_back_and_forward_around_a_saved_form_show_whole_pages(visit: Visit, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    await page.goto("/")
    home = await page.get_by_role("heading", level=1).inner_text()
    await visitor.press(page.get_by_role("link", name="Your profile", exact=True))
    await expect_whole(page, "/accounts/profile", "Your profile")
    await labelled(page, "Name").fill("Ann")
    await visitor.press(page.get_by_role("button", name="Save"))
    await expect(page.get_by_text("Saved.")).to_be_visible()
    while page.url != f"{visitor.site}/":
        await go(page.go_back)
    await expect_whole(page, "/", home)
    await go(page.go_forward)
    await expect_whole(page, "/accounts/profile", "Your profile")


@of_look(EVERY)
async def test_back_after_logging_out_shows_nothing_of_who_was_there(visit: Visit, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    await page.goto("/accounts/login")
    await page.goto("/accounts/profile")
    await expect(page.get_by_role("main").get_by_text(visitor.email)).to_be_visible()
    await visitor.press(page.get_by_role("link", name="Change password"))
    await expect(page.get_by_role("heading", level=1)).to_have_text("Change password")
    await visitor.press(page.get_by_role("button", name="Log out").first)
    await expect(page.get_by_text("You are logged out.")).to_be_visible()
    if look.javascript:
        assert visitor.email not in await page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
    for _ in range(2):
        await go(page.go_back)
        await expect(page).to_have_url(re.compile(r"/accounts/login\?next="))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
        assert visitor.email not in await page.content()


async def test_what_the_browser_remembers_for_back_is_gone_after_the_log_out(site: FastAPI, site_url: str) -> None:
    async with (
        browsing.browsing(ignore_default_args=["--disable-back-forward-cache"]) as remembering,
        visiting(remembering, site_url, DESKTOP_LIGHT) as visitor,
    ):
        page = visitor.page
        await page.goto("/accounts/login")
        await page.evaluate("window.mark = 'kept'")
        await page.goto("/accounts/signup")
        await page.evaluate("history.back()")
        await expect(page).to_have_url("/accounts/login")
        assert await page.evaluate("window.mark") == "kept"  # or this test would show nothing

        await sign_in(visitor, site)
        await page.goto("/accounts/profile")
        await visitor.press(page.get_by_role("button", name="Log out").first)
        await expect(page.get_by_text("You are logged out.")).to_be_visible()
        await page.evaluate("history.back()")
        await expect(page.get_by_role("button", name="Log in")).to_be_visible()
        assert visitor.email not in await page.content()
