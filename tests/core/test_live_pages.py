"""Live pages: a block is drawn anew by its own page, for whom it is, as often as makes sense; and nobody else hears."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from uuid import UUID

import httpx2
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col

from apps.accounts.models import Session, User
from apps.accounts.testing import add_user, sign_in_as
from project.core.asgi import create_app
from project.core.db.models import now
from project.core.jobs import chores
from project.core.live import GAP, Event, notices, notify, revoke
from project.core.live.bus import Bells, Bus
from project.core.live.notices import Notice
from project.core.management.browsing import serving
from project.core.runtime import Runtime
from project.core.testing.jobs import Jobs
from project.core.testing.plugin import Databases, MakeSettings
from project.core.testing.recorded import RecordedBus
from project.core.web import live as web
from tests.core.conftest import INSTALLED
from tests.core.probe import models
from tests.core.probe.live import LIKES
from tests.core.test_streams import Reader, reading

pytestmark = pytest.mark.any_database

PAGE, STREAM = "/probe/likes/it", "/live/stream"
IT = ["event: changed", 'data: "probe.likes:it"']


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The probe app, served, with a page that two people like; its address is `site.state.address`."""
    LIKES.clear()
    LIKES.update(it=2, that=2)
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED))
        app.state.runtime.runs_jobs = False
        async with serving(app) as app.state.address:
            await models.create(app.state.runtime.database.engine)
            yield app


@pytest.fixture
async def ann(site: FastAPI) -> User:
    return await add_user(site)


@pytest.fixture
async def browser(site: FastAPI, ann: User) -> AsyncIterator[httpx2.AsyncClient]:
    """Ann's."""
    async with httpx2.AsyncClient(base_url=site.state.address, trust_env=False) as client:
        await sign_in_as(client, site, ann)
        yield client


@asynccontextmanager
async def following(browser: httpx2.AsyncClient, *passes: str) -> AsyncIterator[Reader]:
    """The stream of a page that opens, after the word that all of its blocks may have changed meanwhile."""
    async with browser.stream("GET", STREAM, params={"on": passes}) as answer:
        reader = Reader(answer)
        assert (await reader.frames(2))[1] == ["event: changed", "data: null"]
        yield reader


def given_by(page: httpx2.Response) -> str:
    """What the page may ask for its live block with."""
    found = re.search(
        r'<noscript data-live="probe.likes:it" data-live-block="likes" data-live-pass="(.+?)">', page.text
    )
    assert found, page.text
    return found[1]


async def test_a_page_hears_of_a_change_and_gets_its_block_from_its_own_address(
    site: FastAPI, browser: httpx2.AsyncClient
) -> None:
    page = await browser.get(PAGE)
    given = given_by(page)
    async with following(browser, given) as reader:
        LIKES["it"] = 1
        await site.state.runtime.bus.publish("probe.likes:it", Event("liked", {"by": "a secret"}))
        assert await reader.frame() == IT
        block = await browser.get(PAGE, headers={"X-Live": given})
    assert block.text.strip().startswith("<p><noscript")
    assert "<strong>1</strong></p>" in block.text
    assert (block.headers["x-live"], "<h1>" in block.text) == ("likes", False)
    LIKES["it"] = 3
    assert (await browser.get(PAGE, headers={"X-Live": given})).text.strip() == "<p><strong>3</strong></p>"
    assert "<h1>Likes</h1>" in (await browser.get(PAGE)).text
    assert "x-live" not in (await browser.get(PAGE)).headers


async def test_what_happens_often_is_told_once_and_one_page_follows_several_topics() -> None:
    bus, bells = Bus(), Bells("mine")
    async with bus.subscribe("a", "b", "mine", by=bells):
        for number in range(500):
            await bus.publish("a", Event("moved", number))
            await bus.publish("b", Event("moved", number))
        for number in range(2):
            await bus.publish("mine", Event("notice", number))
        bells.put(GAP)
        assert bells.take() == [
            Event("changed", "a"),
            Event("changed", "b"),
            Event("notice", 0),
            Event("notice", 1),
            GAP,
        ]
        await bus.publish("a", Event("moved"))
        assert bells.take() == [Event("changed", "a")]


@pytest.mark.parametrize("whose", ["nobody's", "another's", "of an hour ago", "forged"])
async def test_a_topic_is_heard_only_by_whom_a_page_gave_it_to_and_lately(
    whose: str, site: FastAPI, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = given_by(await browser.get(PAGE))
    async with httpx2.AsyncClient(base_url=site.state.address, trust_env=False) as other:
        if whose == "another's":
            await sign_in_as(other, site, await add_user(site, "bob@example.com"))
        if whose == "of an hour ago":
            monkeypatch.setattr(web, "FRESH", -1)
        if whose == "forged":
            given = f"{given[:-8]}AAAAAAAA"
        asking = other if whose in ("nobody's", "another's") else browser
        assert (await asking.get(STREAM, params={"on": given})).status_code == 204
        assert (await other.get(STREAM)).status_code == 204 if whose == "nobody's" else True
        block = await asking.get(PAGE, headers={"X-Live": given})
    # What is too old to be followed still draws its block, which comes with a new one.
    assert ("<h1>" in block.text) is (whose != "of an hour ago")


async def test_a_page_without_an_account_is_live_too(site: FastAPI) -> None:
    async with httpx2.AsyncClient(base_url=site.state.address, trust_env=False) as stranger:
        given = given_by(await stranger.get(PAGE))
        async with following(stranger, given) as reader:
            await site.state.runtime.bus.publish("probe.likes:it", Event("liked"))
            assert await reader.frame() == IT


async def test_a_page_follows_twenty_topics_at_most(browser: httpx2.AsyncClient) -> None:
    given = given_by(await browser.get(PAGE))
    assert (await browser.head(STREAM, params={"on": [given] * 20})).status_code == 200
    assert (await browser.head(STREAM, params={"on": [given] * 21})).status_code == 422


async def test_a_block_is_of_one_page_and_only_what_that_page_prints(
    site: FastAPI, browser: httpx2.AsyncClient
) -> None:
    given = given_by(await browser.get(PAGE))
    assert "<h1>" in (await browser.get("/probe/likes/that", headers={"X-Live": given})).text
    assert "<h1>" in (await browser.get(PAGE, headers={"X-Live": "hush"})).text


async def test_whoever_lost_the_page_gets_no_block_of_it(site: FastAPI, browser: httpx2.AsyncClient, ann: User) -> None:
    given = given_by(await browser.get(PAGE))
    async with following(browser, given) as reader:
        del LIKES["it"]
        gone = await browser.get(PAGE, headers={"X-Live": given})
        async with site.state.runtime.unit_of_work() as db:
            await db.execute(sa.delete(Session))
            await revoke(db, ann.id)
        assert await reader.frame() == []
    assert (gone.status_code, "<h1>" in gone.text, "x-live" in gone.headers) == (404, True, False)
    assert (await browser.get(STREAM, params={"on": given})).status_code == 204


def test_a_mistake_is_a_sentence() -> None:
    context = SimpleNamespace(blocks={"likes": []}, name="a.html")
    with pytest.raises(KeyError, match=r"a\.html has no block 'like'"):
        web.live(context, "probe.likes", 7, block="like")  # type: ignore[arg-type]


# Notices


async def test_a_notice_reaches_every_page_of_its_reader_once_it_is_saved_and_nobody_else(
    site: FastAPI, browser: httpx2.AsyncClient, ann: User
) -> None:
    bob = await add_user(site, "bob@example.com")
    say = "/api/v1/probe/say"
    async with (
        following(browser) as first,
        following(browser) as second,
        reading(site, STREAM, user=bob) as his,
    ):
        await his.frame()
        assert (await browser.post(say, json={"body": "lost"}, params={"fail": True})).status_code == 409
        assert (await browser.post(say, json={"body": "<b>Ready</b>"})).status_code == 200
        for reader in (first, second):
            shown = "\n".join(await reader.frame())
            assert '<a href="/probe/likes/it">&lt;b&gt;Ready&lt;/b&gt;</a>' in shown
            assert "flash-success" in shown
        async with site.state.runtime.unit_of_work() as db:
            await notify(db, bob.id, "Only his", "warning")
        assert "Only his" in "\n".join(await his.frame())
    async with following(browser) as later:
        async with site.state.runtime.unit_of_work() as db:
            await notify(db, ann, "The next")
        assert "The next" in "\n".join(await later.frame())


async def test_a_notice_waits_for_a_page_and_is_shown_by_one_that_opens(
    site: FastAPI, browser: httpx2.AsyncClient, ann: User
) -> None:
    async with site.state.runtime.unit_of_work() as db:
        for word in ("One", "Two"):
            await notify(db, ann, word)
    for words in (["One", "Two"], []):
        async with following(browser) as reader:
            for word in words:
                assert word in "\n".join(await reader.frame())
            await site.state.runtime.bus.publish(notices.topic_of(ann.id), Event("last"))
            assert (await reader.frame())[0] == "event: last"


async def test_the_newest_of_many_come_first_and_what_nobody_came_for_is_forgotten(
    runtime: Runtime, jobs: Jobs, bus: RecordedBus
) -> None:
    ann = UUID(int=7)
    async with runtime.unit_of_work() as db:
        for number in range(notices.MOST + 2):
            await notify(db, ann, f"{number}")
    async with runtime.unit_of_work() as db:
        found = await notices.waiting(db, ann)
        assert [event.data["text"] for event in found] == [str(number) for number in range(2, notices.MOST + 2)]
        assert not await notices.waiting(db, UUID(int=8))
        old = sa.update(Notice).where(col(Notice.text) != "3").values(created_at=now() - notices.KEPT)
        await db.execute(old.execution_options(synchronize_session=False))
        await chores.forget(db, runtime)
    async with runtime.unit_of_work() as db:
        assert [event.data["text"] for event in await notices.waiting(db, ann)] == ["3"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://evil.example/"},
        {"url": "//evil.example"},
        {"url": "/\\evil.example"},
        {"url": "/\t/evil.example"},
        {"url": "javascript:alert(1)"},
        {"level": "fatal"},
    ],
    ids=str,
)
async def test_a_notice_leads_nowhere_else(runtime: Runtime, bus: RecordedBus, wrong: dict[str, str]) -> None:
    async with runtime.unit_of_work() as db:
        with pytest.raises(ValueError, match=r"path of this site|a notice is"):
            await notify(db, UUID(int=7), "Look", **wrong)  # type: ignore[arg-type]
        await notify(db, UUID(int=7), "x" * 600, url="/größe?q=a%20b#c")
    ((_, event),) = bus.published
    assert (len(event.data["text"]), event.data["url"]) == (500, "/größe?q=a%20b#c")
