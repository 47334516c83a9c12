"""The page of a bug: all that helps in development, nothing of it in production, and never a secret."""

from collections.abc import AsyncIterator
from html import unescape

import httpx2
import pytest
from fastapi import FastAPI, Request
from jinja2 import ChoiceLoader, DictLoader
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import text
from starlette.responses import Response

from apps.accounts.testing import add_user, sign_in_as
from project.core import DB, render
from project.core.admin import site as admin_site
from project.core.log import MASK
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.core.web.dev import trouble
from project.core.web.dev.trouble import shown
from tests.core.conftest import INSTALLED

pytestmark = pytest.mark.any_database

SECRET = "0ld-fish-of-zanzibar"
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


class Odd:
    """What cannot be shown."""

    def __repr__(self) -> str:
        raise ZeroDivisionError


async def bug(token: str, db: DB) -> None:
    """Break, with secrets at hand."""
    password, odd, long = SECRET, Odd(), {"first": 1, "more": "x" * 100_000}
    await db.execute(text("SELECT 1 AS asked"))
    try:
        vars(odd)["nothing"]
    except KeyError as cause:
        raise RuntimeError(f"it broke <b>here</b>, password={password}") from cause
    assert long


async def broken(request: Request) -> Response:
    """A template with a mistake in its third line."""
    return render(request, "probe/broken.html")


@pytest.fixture
async def site(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The site in development, with bugs."""
    settings = {"INSTALLED_APPS": INSTALLED, "DEBUG": True, "LIVE_RELOAD": True}
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, **settings)) as app:
        app.get("/bugs/{token}")(bug)
        app.get("/api/bugs/{token}")(bug)
        app.get("/broken")(broken)
        yield app


@pytest.fixture
def browser(site: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client that asks as browsers do."""
    client = new_client(site)
    client.headers |= BROWSER
    return client


def words(page: httpx2.Response, selector: str = "body") -> str:
    """What one reads in the first element of a kind."""
    found = LexborHTMLParser(page.text).css_first(selector)
    assert found is not None, selector
    return " ".join(found.text(separator=" ").split())


async def test_it_shows_what_was_raised_where_with_what_at_hand(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/bugs/1")
    assert (page.status_code, page.headers["cache-control"]) == (500, "no-store")
    said = words(page)
    assert "RuntimeError it broke <b>here</b>" in said
    assert "Caused by: KeyError" in said
    assert page.headers["x-request-id"] in said
    assert "GET /bugs/{token}" in said
    assert words(page, ".call-own[open] .code-here mark").startswith("raise RuntimeError(")
    at_hand = words(page, ".call-own[open] .values")
    assert "Odd, whose repr raises ZeroDivisionError" in at_hand
    assert "'first': 1" in at_hand
    assert len(page.text) < 300_000
    libraries = LexborHTMLParser(page.text).css(".calls-more > summary")
    assert any("fastapi" in each.text() and "starlette" in each.text() for each in libraries)
    assert "SELECT 1 AS asked" in words(page, "#sql")
    assert "tests/core/test_trouble.py:" in words(page, "#sql")


async def test_no_secret_is_on_it(browser: httpx2.AsyncClient) -> None:
    browser.cookies.set("sid", SECRET)
    page = await browser.get(f"/bugs/{SECRET}?api_key={SECRET}", headers={"Authorization": f"Bearer {SECRET}"})
    assert page.status_code == 500
    assert SECRET not in unescape(page.text)
    assert page.text.count(MASK) > 5


async def test_it_obeys_the_policy_and_reloads_by_itself(browser: httpx2.AsyncClient) -> None:
    page = await browser.get("/bugs/1")
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    for inline in ("<script>", "<style", " style=", " onclick=", 'src="http', 'href="http'):
        assert inline not in page.text, inline
    assert "/static/core/reload.js" in page.text


async def test_a_mistake_in_a_template_is_shown_in_the_template(
    site: FastAPI, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = await browser.get("/broken")
    assert words(page, "details[open] > summary").startswith("tests/core/probe/templates/probe/broken.html:3")
    assert words(page, "details[open] .code-here") == "<p>{{ nobody.name }}</p>"
    env = site.state.templates
    monkeypatch.setattr(env, "loader", ChoiceLoader([DictLoader({"base.html": "{% if %}"}), env.loader]))
    env.cache.clear()
    assert "TemplateSyntaxError" in (await browser.get("/broken")).text


async def test_a_bug_in_the_admin_is_shown_as_well(
    site: FastAPI, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sign_in_as(browser, site, await add_user(site, is_staff=True, is_superuser=True))
    monkeypatch.delattr(admin_site, "job_figures")
    page = await browser.get("/admin/")
    assert page.status_code == 500
    assert "NameError name 'job_figures' is not defined" in words(page)
    assert "GET /admin/" in words(page)
    assert "project/core/admin/site.py:" in words(page, ".call[open] > summary")


async def test_who_is_no_browser_hears_what_production_says(site: FastAPI, browser: httpx2.AsyncClient) -> None:
    document = await browser.get("/api/bugs/1")
    assert (document.headers["content-type"], document.json()["code"]) == ("application/problem+json", "internal_error")
    plain = await browser.get("/bugs/1", headers={"Accept": "application/json"})
    for answer in (document, plain):
        assert answer.status_code == 500
        assert not any(word in answer.text for word in ("RuntimeError", "it broke", "test_trouble"))


async def test_in_production_there_is_nothing_of_it(probe: httpx2.AsyncClient) -> None:
    page = await probe.get("/probe/bug", headers=BROWSER)
    assert (page.status_code, "Something went wrong" in page.text) == (500, True)
    assert not any(word in page.text for word in ("RuntimeError", "a secret of the page", "tests/core"))


async def test_a_bug_behind_htmx_is_seen_too(browser: httpx2.AsyncClient) -> None:
    boosted = await browser.get("/bugs/1", headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert boosted.headers["hx-redirect"].endswith("/bugs/1")
    part = await browser.get("/bugs/1", headers={"HX-Request": "true", "Accept": "*/*"})
    assert words(part, "#trouble-message").startswith("RuntimeError it broke")


async def test_when_the_page_fails_the_usual_one_comes(
    browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(trouble, "_context")
    page = await browser.get("/bugs/1")
    assert (page.status_code, "Something went wrong" in page.text) == (500, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", SECRET),
        ("given", {"password": SECRET, "inner": [{"api_key": SECRET}]}),
        ("said", f"token={SECRET} " + "x" * 1000),
        ("url", f"postgresql://shop:{SECRET}@db/shop"),
        ("long", "x" * 1000 + f" password='{SECRET}'"),
        ("thing", httpx2.Headers({"Authorization": f"Bearer {SECRET}"})),
    ],
)
def test_a_value_is_masked_before_it_is_cut(name: str, value: object) -> None:
    told = shown(name, value)
    assert SECRET[:4] not in told
    assert len(told) < 500
