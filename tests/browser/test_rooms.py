"""Rooms in real browsers: two people talk; a lost connection is seen, and nothing is lost or doubled by it."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

from fastapi import FastAPI
from playwright.async_api import Browser, Page, Route, expect
from sqlmodel import select

from apps.accounts import User
from apps.realtime.models import Room
from apps.realtime.services import topic
from project.core.conf import ROOT
from project.core.live.revoking import revoke
from project.core.management.environment.dotenv import data_dir
from tests.browser.visitors import DESKTOP_LIGHT, PHONE_DARK, PLAIN, Visit, Visitor, visiting
from tests.faults.crowd import ROOM, town


async def _open(visitor: Visitor, title: str) -> str:
    page = visitor.page
    await page.goto("/realtime/rooms/new")
    await page.get_by_label("Title").fill(title)
    await page.get_by_role("button", name="Open it").click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()
    return page.url


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")


async def _id_of(visitor: Visitor, site: FastAPI) -> UUID:
    async with site.state.runtime.unit_of_work(write=False) as db:
        found: UUID = (await db.exec(select(User.id).where(User.email == visitor.email))).one()
    return found


async def _topic(site: FastAPI, slug: str) -> str:
    async with site.state.runtime.unit_of_work(write=False) as db:
        return topic((await db.exec(select(Room.id).where(Room.slug == slug))).one())


async def _live(page: Page) -> None:
    await expect(page.locator("[data-stream-state=open]")).to_be_attached()


async def test_two_people_talk(visit: Visit) -> None:
    ann, bob = await visit(DESKTOP_LIGHT, who="member"), await visit(PHONE_DARK, who="member")
    url = await _open(ann, "Two talk")
    await bob.page.goto(url)
    for each in (ann, bob):
        await _live(each.page)
    await expect(ann.page.locator("#presence")).to_contain_text("2 here")
    await _say(ann.page, "Hello <b>you</b>")
    for each in (ann, bob):
        await expect(each.page.locator(".message")).to_have_count(1)
        await expect(each.page.locator(".message-body")).to_have_text("Hello <b>you</b>")
    await expect(ann.page.get_by_label("Message", exact=True)).to_have_value("")
    await expect(ann.page.get_by_label("Message", exact=True)).to_be_focused()
    await bob.page.get_by_label("Message", exact=True).press_sequentially("I am")
    await expect(ann.page.get_by_text("is writing…")).to_be_visible()
    await bob.press(bob.page.get_by_role("button", name="Send"))
    await expect(ann.page.locator(".message-body").last).to_have_text("I am")
    await _say(ann.page, "Again")
    await expect(ann.page.locator(".message")).to_have_count(3)
    await _say(ann.page, "\n".join(f"and line {number}" for number in range(40)))
    for each, mine, again in ((ann, [1, 0, 1, 1], [0, 0, 0, 1]), (bob, [0, 1, 0, 0], [0, 0, 0, 1])):
        await expect(each.page.locator(".message")).to_have_count(4)
        drawn = (
            "all => all.map(one => ['message-mine', 'message-again'].map(word => Number(one.classList.contains(word))))"
        )
        assert await each.page.locator(".message").evaluate_all(drawn) == [
            list(pair) for pair in zip(mine, again, strict=True)
        ]
    latest = ann.page.get_by_role("button", name="Latest")
    await expect(latest).to_be_hidden()
    await ann.page.locator(".chat-scroll").evaluate("area => area.scrollTop = -300")
    await latest.click()
    await expect(latest).to_be_hidden()
    await expect(ann.page.get_by_text("and line 39")).to_be_in_viewport()
    await bob.page.goto("/realtime/rooms")
    await expect(ann.page.locator("#presence")).to_contain_text("1 here")


async def test_a_lost_connection_is_seen_and_nothing_is_lost_or_doubled(visit: Visit, site: FastAPI) -> None:
    ann, bob = await visit(DESKTOP_LIGHT, who="member"), await visit(DESKTOP_LIGHT, who="member")
    bob.provokes |= {0, 503}
    url = await _open(ann, "Lost line")
    await bob.page.goto(url)
    await _live(bob.page)
    await _say(ann.page, "one")
    await expect(bob.page.locator(".message")).to_have_count(1)
    await bob.page.route("**/events*", lambda route: route.abort())
    who, name = await _id_of(bob, site), await _topic(site, "lost-line")
    async with site.state.runtime.unit_of_work() as db:
        await revoke(db, who, topic=name)
    await expect(bob.page.get_by_text("Reconnecting…")).to_be_visible()
    for text in ("two", "three"):
        await _say(ann.page, text)
    await bob.page.unroute("**/events*")
    await expect(bob.page.locator(".message-body")).to_have_text(["one", "two", "three"])
    await expect(bob.page.get_by_text("Reconnecting…")).to_be_hidden()


async def test_what_is_sent_while_an_answer_is_on_its_way_waits_and_what_failed_stays(visit: Visit) -> None:
    ann = await visit(DESKTOP_LIGHT, who="member")
    ann.provokes |= {0}
    page, line = ann.page, ann.page.get_by_label("Message", exact=True)
    url = await _open(ann, "Quick typist")
    await _live(page)
    held: asyncio.Queue[Route] = asyncio.Queue()
    await page.route(url, held.put)
    for text in ("one", "two", "three"):
        await _say(page, text)
        await expect(line).to_have_value("")
    await line.fill("and a dra")
    await (await held.get()).continue_()
    lost = await held.get()
    await lost.abort()
    await expect(line).to_have_value("two")
    await line.press("Enter")
    again = await held.get()
    assert again.request.post_data == lost.request.post_data
    await again.continue_()
    await (await held.get()).continue_()
    await expect(page.locator(".message-body")).to_have_text(["one", "two", "three"])
    await expect(line).to_have_value("and a dra")


async def test_two_people_on_two_processes_talk_and_one_is_logged_out_elsewhere(browser: Browser) -> None:
    """One database and Redis behind two servers; a cookie counts for both."""
    async with town(2, kind="sqlite", DEBUG="true", DATA_DIR=str(data_dir(ROOT))) as one, AsyncExitStack() as stack:
        visitors = []
        for web, cookie, look in zip(one.webs, one.people, (DESKTOP_LIGHT, PHONE_DARK), strict=True):
            visitor = await stack.enter_async_context(visiting(browser, web.url, look))
            name, _, value = cookie.partition("=")
            await visitor.page.context.add_cookies([{"name": name, "value": value, "url": web.url}])
            await visitor.page.goto(f"/realtime/rooms/{ROOM}")
            await _live(visitor.page)
            visitors.append(visitor)
        ann, bob = pages = [each.page for each in visitors]
        await expect(ann.locator("#presence")).to_contain_text("2 here")
        lines = list[str]()
        for speaker in (ann, bob, ann):
            lines.append(f"line {len(lines)}")
            await _say(speaker, lines[-1])
            for each in pages:
                await expect(each.locator(".message-body")).to_have_text(lines)
        async with one.client(0, one.webs[1]) as elsewhere:
            assert (await elsewhere.post("/accounts/logout")).status_code == 303
        await expect(ann.get_by_text("You are not signed in here any more")).to_be_visible()
        # The browser's own word for an answer that is the log-in page.
        hers = visitors[0]
        hers.trouble = [each for each in hers.trouble if "EventSource's response has a MIME type" not in each]
        await ann.get_by_role("link", name="Load the page again").click()
        await expect(ann.get_by_role("heading", name="Log in")).to_be_visible()
        await expect(bob.locator("#presence")).to_contain_text("1 here")


async def test_without_javascript_the_latest_is_in_sight_and_one_can_speak(visit: Visit) -> None:
    plain = await visit(PLAIN, who="member")
    await _open(plain, "Plain room")
    for number in range(25):
        await plain.page.get_by_label("Message", exact=True).fill(f"line {number}")
        await plain.page.get_by_role("button", name="Send").click()
    last = plain.page.locator(".message").last
    await expect(last).to_contain_text("line 24")
    await expect(last).to_be_in_viewport()
    await expect(plain.page.get_by_text("Reconnecting…")).to_be_hidden()
