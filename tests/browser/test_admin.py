"""The admin in the hands of staff, at a desk and on a phone."""

from fastapi import FastAPI
from playwright.async_api import expect
from sqlmodel import col, select

from apps.accounts.models import Session, User
from project.core.log import MASK
from tests.browser.conftest import sign_in
from tests.browser.visitors import EVERY, SCRIPTED, Look, Visit, labelled, of_look


@of_look(SCRIPTED)
async def test_staff_finds_a_person_edits_the_name_and_looks_at_a_session(visit: Visit, look: Look) -> None:
    somebody = await visit(who="member")
    visitor = await visit(look, who="staff")
    page = visitor.page
    await page.goto("/")
    await visitor.press(page.get_by_role("navigation").get_by_role("link", name="Admin"))
    await visitor.press(page.locator(".page-body").get_by_role("link", name="People"))
    await page.get_by_placeholder("Search").fill(somebody.email)
    await visitor.press(page.get_by_role("button", name="Search", exact=True))
    await expect(page.get_by_role("row")).to_have_count(2)
    await visitor.press(page.get_by_role("row").filter(has_text=somebody.email).get_by_role("link", name="Edit"))
    await labelled(page, "Name").fill("Somebody Else")
    await visitor.press(page.get_by_role("button", name="Save", exact=True))
    await expect(page.get_by_role("row").filter(has_text="Somebody Else")).to_have_count(1)

    await page.goto("/admin/session/list")
    await visitor.press(page.get_by_role("link", name="View").first)
    await expect(page.get_by_role("cell", name="127.0.0.1")).to_be_visible()
    await visitor.press(page.get_by_role("link", name="Back to site"))
    await expect(page.get_by_role("contentinfo")).to_be_visible()


async def test_a_member_is_told_that_the_admin_is_for_staff(visit: Visit) -> None:
    visitor = await visit(who="member")
    visitor.provokes = {403}
    await visitor.page.goto("/admin/")
    await expect(visitor.page.get_by_role("main").get_by_text("The admin is for staff.")).to_be_visible()
    await expect(visitor.page.get_by_role("link", name="Admin")).to_have_count(0)


async def test_what_staff_does_is_seen_in_the_history_of_the_row_and_of_all(visit: Visit, site: FastAPI) -> None:
    somebody, visitor = await visit(who="member"), await visit(who="staff")
    page = visitor.page
    async with site.state.runtime.unit_of_work(write=False) as db:
        theirs = select(Session).join(User, col(User.id) == Session.user_id).where(User.email == somebody.email)
        session = (await db.exec(theirs)).one()
    await page.goto(f"/admin/user/edit/{session.user_id}")
    await labelled(page, "Name").fill("Somebody Else")
    await visitor.press(page.get_by_role("button", name="Save", exact=True))
    await page.goto(f"/admin/user/details/{session.user_id}")
    await visitor.press(page.get_by_role("link", name="History").last)
    entry = page.locator(".history > li")
    await expect(entry).to_have_count(1)
    await expect(entry).to_contain_text(visitor.email)
    await expect(entry.locator("del")).to_have_text("nothing")
    await expect(entry.locator("ins")).to_have_text("Somebody Else")

    await page.goto(f"/admin/session/delete?pks={session.id}")
    await visitor.press(page.get_by_role("button", name="Delete"))
    await page.goto(f"/admin/history/list?search={visitor.email}")
    rows = page.locator("tbody").get_by_role("row")
    await expect(rows.filter(has_text="Person")).to_contain_text(somebody.email)
    await visitor.press(rows.filter(has_text="Session").get_by_role("link", name="View"))
    deleted = page.locator(".page-body")
    await expect(deleted).to_contain_text("Delete")
    await expect(deleted.locator("dt", has_text="Token hash").locator("..").locator("del")).to_have_text(MASK)
    await expect(deleted).not_to_contain_text(session.token_hash)


@of_look(EVERY)
async def test_an_operator_is_given_half_the_permissions_and_has_them_at_once(
    visit: Visit, site: FastAPI, look: Look
) -> None:
    operator, root = await visit(look), await visit(look, who="staff")
    await sign_in(operator, site, is_staff=True)
    operator.provokes = {403}
    await operator.page.goto("/admin/")
    await expect(operator.page.get_by_role("status")).to_contain_text("none of your groups has a task for you yet")

    await root.page.goto("/admin/group/create")
    await root.page.locator("#name").fill(f"Readers of {operator.email}")
    if look.javascript:
        await root.page.locator(".select2-selection").click()
        await root.page.keyboard.type(operator.email)
        await root.page.get_by_role("option", name=operator.email).click()
    else:
        await root.page.get_by_label("by email or name").fill(operator.email)
    await root.page.get_by_role("group", name="People").get_by_label("See").check()
    await root.press(root.page.get_by_role("button", name="Save", exact=True))
    await expect(root.page.get_by_role("row").filter(has_text=operator.email)).to_have_count(1)

    await operator.page.reload()
    await operator.press(operator.page.locator(".page-body").get_by_role("link", name="People"))
    await expect(operator.page.get_by_role("row").filter(has_text=operator.email)).to_have_count(1)
    await expect(operator.page.get_by_role("link", name="View").first).to_be_visible()
    await expect(operator.page.get_by_role("link", name="Edit")).to_have_count(0)
    await expect(operator.page.get_by_role("navigation").get_by_text("System")).to_be_hidden()
    await operator.page.goto("/admin/group/list")
    await expect(operator.page.get_by_role("main")).to_contain_text("You lack the permission accounts.group.view.")
