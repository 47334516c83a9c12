"""Batches in a browser: with htmx and without, and moving by themselves."""

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.testing import SignIn
from apps.fetcher.models import Fetch
from apps.fetcher.outcomes import Failure, FetchError
from project.core.jobs import State
from project.core.testing.jobs import Jobs
from project.core.testing.pages import Page
from tests.fetcher.conftest import Script

pytestmark = [pytest.mark.usefixtures("scripted"), pytest.mark.any_database]


async def test_urls_are_submitted_and_seen(either_page: Page, sign_in: SignIn, jobs: Jobs, scripted: Script) -> None:
    scripted.answers["b.example"] = FetchError(Failure.BLOCKED)
    await sign_in()
    page = await either_page.open("/fetcher/batches").click("New batch").fill("Title", "Mine")
    await page.fill("URLs", "http://a.example/\n\nhttp://b.example/").submit("Fetch")
    assert page.messages == ["Fetching has started."]
    assert "0 / 2" in page.text
    await jobs.run()
    await page.open(page.url)
    assert "2 / 2" in page.text
    assert Failure.BLOCKED.message in page.text
    await page.click("All batches")
    assert "Mine" in page.text


async def test_a_batch_is_stopped(either_page: Page, sign_in: SignIn, jobs: Jobs) -> None:
    await sign_in()
    page = await either_page.open("/fetcher/batches/new").fill("URLs", "http://a.example/").submit("Fetch")
    await page.submit("Stop")
    assert page.messages == ["Stopped."]
    assert await jobs.run() == []


async def test_nothing_to_fetch_is_said_beside_the_field(either_page: Page, sign_in: SignIn) -> None:
    await sign_in()
    page = await either_page.open("/fetcher/batches/new").fill("Title", "Empty").submit("Fetch")
    assert list(page.errors) == ["URLs"]


async def test_the_short_address_leads_to_the_batches(page: Page, sign_in: SignIn) -> None:
    await sign_in()
    assert (await page.open("/fetcher")).url == "/fetcher/batches"


@pytest.fixture
async def done(either_page: Page, sign_in: SignIn, jobs: Jobs, scripted: Script) -> Page:
    """The page of a batch of sixty, three of which were refused."""
    scripted.answers |= {f"{name}.example": 503 for name in "abc"}
    await sign_in()
    page = await either_page.open("/fetcher/batches/new").fill("Title", "Mine")
    urls = [f"http://{name}.example/" for name in "abc"] + [f"http://d.example/{number}" for number in range(57)]
    await page.fill("URLs", "\n".join(urls)).fill("Repetitions", "0").submit("Fetch")
    await jobs.run()
    return await page.open(page.url)


async def test_results_are_searched_and_filtered(done: Page) -> None:
    await done.choose("Outcome", "Refused").submit("Search")
    assert ("http://a.example/" in done.text, "http://d.example/1" in done.text) == (True, False)
    await done.choose("Outcome", "All outcomes").fill("Search the results", "example/56").submit("Search")
    assert ("http://d.example/56" in done.text, "http://d.example/55" in done.text) == (True, False)
    await done.fill("Search the results", "nowhere").submit("Search")
    assert "Nothing found" in done.text


async def test_more_results_follow(done: Page) -> None:
    assert "http://d.example/56" not in done.text
    await done.click("Show more")
    assert "http://d.example/56" in done.text


async def test_the_bar_says_how_it_went(done: Page) -> None:
    (drawing,) = done.document.css(".bar svg")
    assert drawing.attributes["aria-label"] == "Outcomes: Fetched 57, Refused 3, Failed 0, of 60"
    widths = [float(each.attributes["width"] or 0) for each in drawing.css("rect")]
    assert widths == [950, 50]


async def test_what_was_refused_is_tried_again(done: Page, jobs: Jobs, scripted: Script) -> None:
    scripted.answers.clear()
    await done.submit("Try 3 again")
    assert done.messages == ["Fetching has started again."]
    await jobs.run()
    await done.open(done.url)
    assert "Try" not in done.text
    assert "60 / 60" in done.text


async def test_results_are_downloaded(done: Page, client: httpx2.AsyncClient) -> None:
    for kind, first in (("csv", "number,url"), ("json", "["), ("jsonl", '{"number"')):
        (link,) = [each for each in done.document.css("a[download]") if each.text() == kind.upper()]
        answer = await client.get(link.attributes["href"] or "")
        assert answer.text.startswith(first), kind


async def test_a_batch_is_deleted_after_asking(done: Page) -> None:
    await done.click("Delete")
    assert "Mine, 60 URLs" in " ".join(done.text.split())
    await done.submit("Delete")
    assert (done.messages, "No batches yet" in done.text) == (["The batch is deleted."], True)


async def test_batches_are_searched(done: Page) -> None:
    await done.open("/fetcher/batches").fill("Search the batches", "mi").choose("State", "Done").submit("Search")
    assert "Mine" in done.text
    await done.choose("State", "Running").submit("Search")
    assert "Nothing found" in done.text


@pytest.mark.parametrize("query", ["?outcome=odd&sort=sha256", "?sort=-&page=99999", "?status=odd&outcome=FAILED"])
async def test_odd_choices_show_all(query: str, done: Page) -> None:
    await done.open(done.url.partition("?")[0] + query)
    assert "60 / 60" in done.text


async def test_what_pages_say_of_themselves_is_text(
    either_page: Page, sign_in: SignIn, app: FastAPI, client: httpx2.AsyncClient, jobs: Jobs
) -> None:
    await sign_in()
    evil = '<img src=x onerror=alert(1)>"\'><a href="javascript:alert(1)" hx-get=/>'
    created = await client.post("/api/v1/fetcher/batches", json={"title": evil, "urls": [evil, "javascript:alert(1)"]})
    await jobs.run()
    async with app.state.runtime.unit_of_work() as db:
        for row in (await db.exec(select(Fetch))).all():
            row.title = row.final_url = row.content_type = evil
            row.redirects = [evil]
    page = await either_page.open(f"/fetcher/batches/{created.json()['id']}")
    assert page.text.count("<img src=x onerror=alert(1)>") >= 5
    assert not page.document.css("img[src=x], [onerror], [href^=javascript], [hx-get='/']")


async def test_the_admin_shows_batches_and_stops_what_it_deletes(
    client: httpx2.AsyncClient, sign_in: SignIn, jobs: Jobs
) -> None:
    await sign_in()
    batch = (await client.post("/api/v1/fetcher/batches", json={"title": "Of Ann", "urls": ["words"]})).json()
    await sign_in("root@example.com", is_superuser=True)
    assert "Of Ann" in (await client.get("/admin/batch/list")).text
    assert "words" in (await client.get("/admin/fetch/list")).text
    assert (await client.get(f"/admin/batch/details/{batch['id']}")).status_code == 200
    assert (await client.delete("/admin/batch/delete", params={"pks": batch["id"]})).status_code == 200
    assert [job.state for job in await jobs.all()] == [State.CANCELLED]
