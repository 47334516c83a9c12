"""The gallery at /_dev/ui: complete, working plain and over htmx, and absent from production."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from jinja2 import Environment, nodes

from project.core.templating import CORE_TEMPLATES, environment
from project.core.testing.plugin import MakeSettings, NewClient, running

pytestmark = pytest.mark.any_database

HTMX = {"HX-Request": "true"}
MACROS = sorted((CORE_TEMPLATES / "core" / "ui").glob("*.html"))
GOOD = {"name": "Ann", "email": "ann@example.com", "password": "long enough", "seats": "3", "plan": "free"}


@pytest.fixture
async def gallery(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client on the site in development; the gallery asks no database."""
    async with running(make_settings(DEBUG=True, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")) as app:
        yield new_client(app)


def called(env: Environment, source: str) -> set[str]:
    """The macros that a template really calls, whatever its texts say."""
    found = env.parse(source).find_all(nodes.Call)
    return {
        call.node.attr
        for call in found
        if isinstance(call.node, nodes.Getattr) and getattr(call.node.node, "name", "") == "ui"
    }


def test_every_macro_is_shown_so_that_a_new_one_cannot_be_forgotten() -> None:
    env = environment(Path("nowhere"), [])
    offered = {m.name for path in MACROS for m in env.parse(path.read_text()).find_all(nodes.Macro)}
    shown = called(env, (CORE_TEMPLATES / "core" / "dev" / "ui.html").read_text())
    assert {name for name in offered if not name.startswith("_")} - shown == set()


async def test_it_shows_what_to_type(gallery: httpx2.AsyncClient) -> None:
    page = await gallery.get("/_dev/ui")
    assert page.status_code == 200
    assert "{{ ui.badge(_(&#34;Paid&#34;), &#34;success&#34;) }}" in page.text


async def test_it_is_absent_in_production(client: httpx2.AsyncClient) -> None:
    for path in ["/_dev/ui", "/_dev/ui/search", "/_dev/ui/errors/404"]:
        assert (await client.get(path)).status_code == 404
    assert "_dev" not in (await client.get("/")).text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/_dev/ui/search?q=ber", "Berlin"),
        ("/_dev/ui/search?q=xyz", "No city has these letters"),
        ("/_dev/ui/rows?page=5", "Zwolle"),
        ("/_dev/ui/tabs/billing", "What it costs"),
        ("/_dev/ui/title?edit=true", 'value="Quarterly plan"'),
        ("/_dev/ui/title", "Quarterly plan"),
    ],
)
async def test_what_asks_the_server_is_answered_with_a_page_or_its_part(
    gallery: httpx2.AsyncClient, path: str, says: str
) -> None:
    page, part = await gallery.get(path), await gallery.get(path, headers=HTMX)
    assert (says in page.text, says in part.text) == (True, True)
    assert ("<html" in page.text, "<html" in part.text) == (True, False)


async def test_the_list_that_goes_on_ends_after_sixty(gallery: httpx2.AsyncClient) -> None:
    parts = [(await gallery.get(f"/_dev/ui/rows?page={page}", headers=HTMX)).text for page in range(1, 6)]
    assert sum(part.count('class="row"') for part in parts) == 60
    assert ["page=" in part for part in parts] == [True, True, True, True, False]


async def test_a_row_is_deleted_in_place_or_by_a_page_that_asks(gallery: httpx2.AsyncClient) -> None:
    path = "/_dev/ui/rows/Oslo/delete"
    assert '<form class="actions" method="post">' in (await gallery.get(path)).text
    plain, htmx = await gallery.post(path), await gallery.post(path, headers=HTMX)
    assert (plain.status_code, plain.headers["location"]) == (303, "/_dev/ui")
    assert (htmx.status_code, htmx.text) == (200, "")


@pytest.mark.parametrize("headers", [{}, HTMX])
async def test_a_value_is_changed_in_place_by_the_same_rules(
    gallery: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    refused = await gallery.post("/_dev/ui/title", data={"title": "ab"}, headers=headers)
    assert (refused.status_code, 'id="demo-title" method="post"' in refused.text) == (422, True)
    changed = await gallery.post("/_dev/ui/title", data={"title": "New <b>"}, headers=headers)
    assert (changed.status_code, "New &lt;b&gt;" in changed.text) == (200, True)


@pytest.mark.parametrize("headers", [{}, HTMX])
async def test_the_form_with_every_widget_refuses_and_accepts(
    gallery: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    refused = await gallery.post("/_dev/ui/form", data=GOOD | {"name": "A", "topics": ["design"]}, headers=headers)
    assert refused.status_code == 422
    assert 'href="#sample-name"' in refused.text
    assert 'value="design" checked' in refused.text
    accepted = await gallery.post("/_dev/ui/form", data=GOOD, headers=headers)
    assert (accepted.status_code, "All is well, Ann." in accepted.text) == (200, True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 412, 413, 422, 429, 500, 503])
async def test_every_error_has_a_page_that_says_what_to_do(gallery: httpx2.AsyncClient, status: int) -> None:
    answer = await gallery.get(f"/_dev/ui/errors/{status}", headers={"Referer": "http://127.0.0.1:8000/here"})
    if status == 401:
        assert answer.headers["location"].startswith("/accounts/login?next=")
        return
    action = {403: "Log in", 429: "Try again", 500: "Try again", 503: "Try again"}.get(status, "Go back")
    assert (answer.status_code, "Go to the home page" in answer.text) == (status, True)
    assert action in answer.text
    assert ("in 30 seconds" in answer.text) is (status in (429, 503))


async def test_an_error_leads_back_to_this_site_only(gallery: httpx2.AsyncClient) -> None:
    answer = await gallery.get("/_dev/ui/errors/409", headers={"Referer": "http://evil.example/"})
    assert ("Go back</a>" in answer.text, "evil.example" in answer.text) == (False, False)
