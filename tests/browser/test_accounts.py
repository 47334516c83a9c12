"""An account's life as its owner sees it: on a phone and at a desk, dark and light, and without JavaScript."""

import re
from uuid import uuid4

from fastapi import FastAPI
from playwright.async_api import expect

from apps.accounts.testing import PASSWORD, add_user
from tests.browser.visitors import EVERY, PLAIN, SCRIPTED, Look, Visit, labelled, of_look


@of_look(EVERY)
async def test_somebody_signs_up_is_refused_first_and_logs_out_and_in_again(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    visitor.provokes = {422}
    email = f"{uuid4().hex[:12]}@example.com"
    await page.goto("/")
    await visitor.press(page.get_by_role("link", name="Sign up").first)
    await labelled(page, "E-mail").fill(email)
    await labelled(page, "Password").fill(email)
    await visitor.press(page.get_by_role("button", name="Sign up"))
    await expect(page.get_by_text("Choose a password that is not your e-mail or name.").first).to_be_visible()
    await expect(labelled(page, "E-mail")).to_have_value(email)
    await expect(labelled(page, "Password")).to_have_value("")

    await labelled(page, "Password").fill(PASSWORD)
    await visitor.press(page.get_by_role("button", name="Sign up"))
    await expect(page.get_by_text("Welcome!")).to_be_visible()

    await visitor.press(page.get_by_role("button", name="Log out").first)
    await expect(page.get_by_text("You are logged out.")).to_be_visible()
    await page.goto("/accounts/profile")
    await labelled(page, "E-mail").fill(email)
    await labelled(page, "Password").fill("not the password")
    await visitor.press(page.get_by_role("button", name="Log in"))
    await expect(page.get_by_text("E-mail or password is not right.").first).to_be_visible()
    await labelled(page, "Password").fill(PASSWORD)
    await visitor.press(page.get_by_role("button", name="Log in"))
    await expect(page).to_have_url("/accounts/profile")
    await expect(page.get_by_role("main").get_by_text(email)).to_be_visible()


@of_look(EVERY)
async def test_a_member_changes_name_and_password_and_leaves(visit: Visit, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    visitor.provokes = {422}
    await page.goto("/accounts/profile")
    await labelled(page, "Name").fill("Ann <b>Example</b>")
    await visitor.press(page.get_by_role("button", name="Save"))
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await expect(labelled(page, "Name")).to_have_value("Ann <b>Example</b>")

    await visitor.press(page.get_by_role("link", name="Change password"))
    await labelled(page, "Current password").fill("not the password")
    await labelled(page, "New password").fill("a quite new password")
    await visitor.press(page.get_by_role("button", name="Change password"))
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page).to_have_url("/accounts/password")
    await labelled(page, "Current password").fill(PASSWORD)
    await labelled(page, "New password").fill("a quite new password")
    await visitor.press(page.get_by_role("button", name="Change password"))
    await expect(page.get_by_text("Your password is changed.")).to_be_visible()

    await visitor.press(page.get_by_role("link", name="Delete account"))
    await labelled(page, "Password").fill("a quite new password")
    await visitor.press(page.get_by_role("button", name="Delete my account"))
    await expect(page.get_by_text("Your account is deleted.")).to_be_visible()
    await expect(page.get_by_role("link", name="Log in").first).to_be_visible()


@of_look(SCRIPTED)
async def test_a_password_can_be_looked_at_and_leaves_hidden(visit: Visit, look: Look) -> None:
    visitor = await visit(look)
    page = visitor.page
    await page.goto("/accounts/login")
    await labelled(page, "Password").fill("what did I type")
    await visitor.press(page.get_by_role("button", name="Show Password"))
    await expect(labelled(page, "Password")).to_have_attribute("type", "text")
    await visitor.press(page.get_by_role("button", name="Hide Password"))
    await expect(labelled(page, "Password")).to_have_attribute("type", "password")


async def test_without_javascript_no_button_is_shown_that_needs_it(visit: Visit) -> None:
    page = (await visit(PLAIN)).page
    await page.goto("/accounts/login")
    await expect(page.get_by_role("button", name="Show Password")).to_have_count(0)
    await expect(page.get_by_role("button", name="theme")).to_have_count(0)


@of_look(EVERY)
async def test_two_browsers_of_one_person_and_one_throws_the_other_out(visit: Visit, look: Look, site: FastAPI) -> None:
    user = await add_user(site, f"{uuid4().hex[:12]}@example.com")
    here, there = await visit(look), await visit(look)
    for visitor in (here, there):
        await visitor.page.goto("/accounts/login?next=/accounts/sessions")
        await labelled(visitor.page, "E-mail").fill(user.email)
        await labelled(visitor.page, "Password").fill(PASSWORD)
        await visitor.press(visitor.page.get_by_role("button", name="Log in"))
        await expect(visitor.page.get_by_role("heading", name="Devices")).to_be_visible()
    page = here.page
    await page.reload()
    rows = page.get_by_role("main").get_by_role("listitem")
    await expect(rows).to_have_count(2)
    await here.press(rows.get_by_role("button", name="Log out"))
    await expect(page.get_by_text("The device is logged out.")).to_be_visible()
    await expect(rows).to_have_count(1)
    await there.page.reload()
    await expect(there.page).to_have_url(re.compile("/accounts/login"))
    await page.goto("/accounts/activity")
    await expect(page.get_by_text("A device was logged out")).to_be_visible()


@of_look(EVERY)
async def test_a_token_is_made_shown_once_and_revoked(visit: Visit, look: Look) -> None:
    visitor = await visit(look, who="member")
    page = visitor.page
    await page.goto("/accounts/profile")
    await visitor.press(page.get_by_role("link", name="API tokens"))
    await visitor.press(page.get_by_role("link", name="New token"))
    await labelled(page, "Name").fill("Backup <b>")
    await visitor.press(page.get_by_role("button", name="Make the token"))
    await expect(page.get_by_text(re.compile("^upt_[A-Za-z0-9]{43}$"))).to_be_visible()
    await visitor.press(page.get_by_role("link", name="Done"))
    await expect(page.get_by_text("Backup <b>").first).to_be_visible()
    await expect(page.get_by_text("upt_")).to_have_count(0)
    await visitor.press(page.get_by_role("button", name="Revoke"))
    await expect(page.get_by_text("The token is revoked.")).to_be_visible()
    await expect(page.get_by_text("No tokens yet")).to_be_visible()
