"""Batches in a browser: with htmx and without, and moving by themselves."""

import pytest

from apps.accounts.testing import SignIn
from apps.fetcher.client import Failure, FetchError
from project.core.testing.jobs import Jobs
from project.core.testing.pages import Page
from tests.fetcher.conftest import Script

pytestmark = pytest.mark.usefixtures("scripted")


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
