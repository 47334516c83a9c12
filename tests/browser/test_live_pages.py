"""Live pages in a real browser: blocks move by themselves, toasts find their reader, and both say when it is over."""

import asyncio
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import Page, Request, expect
from sqlmodel import select

from apps.accounts import User
from apps.accounts.models import Session
from project.core.live import Event, notify, revoke
from project.core.live.notices import topic_of
from project.core.runtime import Runtime
from tests.browser.lab.app import LIKES
from tests.browser.test_streams import HIDE, until
from tests.browser.visitors import DESKTOP_LIGHT, PHONE_DARK, PLAIN, Visit, Visitor


@pytest.fixture
def runtime(site: FastAPI) -> Runtime:
    """Of the site that the browser visits."""
    found: Runtime = site.state.runtime
    return found


async def id_of(visitor: Visitor, runtime: Runtime) -> UUID:
    async with runtime.unit_of_work(write=False) as db:
        found: UUID = (await db.exec(select(User.id).where(User.email == visitor.email))).one()
    return found


async def say(runtime: Runtime, to: UUID, *words: str) -> None:
    async with runtime.unit_of_work() as db:
        await notify(db, to, *words)  # type: ignore[arg-type]


async def is_live(page: Page) -> None:
    await expect(page.locator("#live[data-live-state=open]")).to_be_attached()


async def test_two_tabs_move_together_until_it_is_over(visit: Visit, runtime: Runtime) -> None:
    ann = await visit(DESKTOP_LIGHT, who="member")
    here, there = ann.page, await ann.page.context.new_page()
    bus, name = runtime.bus, uuid4().hex
    topic, asked = f"lab.likes:{name}", list[Request]()
    there.on("request", lambda request: asked.append(request))
    for page in (here, there):
        await page.goto(f"/lab/likes/{name}")
        await is_live(page)
        await page.evaluate("document.body.dataset.marked = ''")
    await there.get_by_role("button", name="Like").focus()
    await here.get_by_role("button", name="Like").click()
    for page in (here, there):
        await expect(page.locator("[data-count='1']")).to_contain_text("1 likes")
    await expect(there.get_by_role("button", name="Like")).to_be_focused()
    await expect(there.locator(".card")).to_have_attribute("aria-live", "polite")

    asked.clear()
    began = asyncio.get_running_loop().time()
    for _ in range(60):  # many changes are a few drawings, the last one among them
        await bus.publish(topic, Event("liked"))
        await asyncio.sleep(0.01)
    LIKES[name] = 4
    await bus.publish(topic, Event("liked"))
    await expect(there.locator("[data-count='4']")).to_contain_text("4 likes")
    took = asyncio.get_running_loop().time() - began
    assert 2 <= len([each for each in asked if "x-live" in each.headers]) <= 2 + took / 0.3
    assert not [each for each in asked if "/live/stream" in each.url]

    LIKES[name] = 5
    await bus.publish(topic, Event("liked"))
    for page in (here, there):
        await expect(page.locator("[data-count='5']")).to_contain_text("5 likes")
    await until(bus, topic, listeners=0)
    await expect(there.locator("body[data-marked]")).to_have_count(1)


async def test_a_page_that_was_left_alone_catches_up(visit: Visit, runtime: Runtime) -> None:
    ann = await visit(PHONE_DARK, who="member")
    name, page = uuid4().hex, ann.page
    topic = f"lab.likes:{name}"
    await page.goto(f"/lab/likes/{name}")
    await until(runtime.bus, topic, listeners=1)
    await page.evaluate(HIDE, True)
    await until(runtime.bus, topic, listeners=0)
    LIKES[name] = 1
    await page.evaluate(HIDE, False)
    await expect(page.locator("[data-count='1']")).to_be_visible()
    await until(runtime.bus, topic, listeners=1)


async def test_whoever_is_signed_out_is_told_in_the_block(visit: Visit, runtime: Runtime) -> None:
    ann = await visit(DESKTOP_LIGHT, who="member")
    await ann.page.goto("/lab/likes/out")
    await is_live(ann.page)
    who = await id_of(ann, runtime)
    async with runtime.unit_of_work() as db:
        for each in (await db.exec(select(Session).where(Session.user_id == who))).all():
            await db.delete(each)
        await revoke(db, who)
    await expect(ann.page.get_by_text("This part does not move any more")).to_be_visible()
    await expect(ann.page.locator("#live")).to_have_attribute("data-live-state", "refused")
    await ann.page.get_by_role("link", name="Load the page again").click()
    await expect(ann.page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_without_javascript_there_is_a_link(visit: Visit) -> None:
    plain, name = await visit(PLAIN, who="member"), uuid4().hex
    await plain.page.goto(f"/lab/likes/{name}")
    LIKES[name] = 2
    await plain.page.get_by_role("link", name="Refresh").click()
    await expect(plain.page.get_by_text("2 likes")).to_be_visible()


async def test_a_toast_is_shown_in_every_tab_and_waits_for_one(visit: Visit, runtime: Runtime) -> None:
    ann = await visit(PHONE_DARK, who="member")
    who, page, other = await id_of(ann, runtime), ann.page, await ann.page.context.new_page()
    for each, path in ((page, "/lab/wish"), (other, "/accounts/sessions")):
        await each.goto(path)
        await is_live(each)
    await say(runtime, who, "Export <b>ready</b>", "success", "/accounts/sessions")
    toast = page.locator("#toasts .flash")
    await expect(toast).to_have_text("Export <b>ready</b>")
    await say(runtime, who, "Careful", "warning")
    for each in (page, other):
        await expect(each.locator("#toasts").get_by_text("Careful")).to_be_visible()
    await expect(other.get_by_text("Export")).to_have_count(0)  # its page is where the toast would lead

    # The one that informs goes by itself, unless somebody looks at it; a warning stays until it is closed.
    await page.locator("#toasts a").focus()
    clock = "document.getAnimations().filter(each => each.animationName === 'pass')"
    assert await page.evaluate(f"{clock}.map(each => each.playState)") == ["paused"]
    await page.evaluate("document.activeElement.blur()")
    assert await page.evaluate(f"{clock}.map(each => each.playState)") == ["running"]
    await page.evaluate(f"{clock}.forEach(each => each.finish())")
    await expect(toast).to_have_count(1)
    await expect(toast).to_have_text("Careful")
    await ann.press(toast.get_by_role("button", name="Dismiss"))
    await expect(toast).to_have_count(0)

    for each in (page, other):
        await each.evaluate(HIDE, True)
    await until(runtime.bus, topic_of(who), listeners=0)
    await say(runtime, who, "While you were away", "info", "/accounts/activity")
    await page.evaluate(HIDE, False)
    await expect(toast).to_have_text("While you were away")
    await ann.press(page.get_by_role("link", name="While you were away"))
    await expect(page.get_by_role("heading", name="Activity")).to_be_visible()
    await until(runtime.bus, topic_of(who), listeners=1)


async def test_a_toast_finds_whoever_works_in_the_admin(visit: Visit, runtime: Runtime) -> None:
    ann = await visit(DESKTOP_LIGHT, who="staff")
    await ann.page.goto("/admin/")
    await is_live(ann.page)
    await say(runtime, await id_of(ann, runtime), "Your export is ready", "success", "/accounts/activity")
    await expect(ann.page.get_by_role("link", name="Your export is ready")).to_be_visible()
    await ann.page.get_by_role("button", name="Dismiss").click()
    await expect(ann.page.locator("#toasts .flash")).to_have_count(0)
