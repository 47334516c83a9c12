"""Whose template and whose file wins: the site's, then the app's, then the core's."""

from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from project.core.templating import environment
from project.core.web.static.sources import Sources

pytestmark = pytest.mark.any_database


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_template_of_the_site_wins_over_the_apps_and_the_apps_over_the_cores(tmp_path: Path) -> None:
    site, app = tmp_path / "site", tmp_path / "app"
    env = environment(site, [app])
    write(app / "templates/core/error.html", "app's")
    assert env.get_template("core/error.html").render() == "app's"
    env = environment(site, [app])
    write(site / "core/error.html", "site's")
    assert env.get_template("core/error.html").render() == "site's"


def test_an_unknown_name_in_a_template_is_an_error(tmp_path: Path) -> None:
    from jinja2 import UndefinedError

    write(tmp_path / "page.html", "{{ missing }}")
    with pytest.raises(UndefinedError):
        environment(tmp_path, []).get_template("page.html").render()


def test_the_first_folder_that_has_a_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write(first / "x.css", "first")
    write(second / "x.css", "second")
    write(second / "y.css", "only")
    sources = Sources([("", first), ("", second), ("", tmp_path / "missing")])
    found = {name: path.read_text() for name, path in sources.files().items()}
    assert found == {"x.css": "first", "y.css": "only"}
    assert [sources.find(name) for name in ("x.css", "y.css", "z.css")] == [first / "x.css", second / "y.css", None]


@pytest.mark.parametrize(
    "path",
    [
        "../project/settings.py",
        "..%2fproject%2fsettings.py",
        "%2e%2e/.env",
        "....//.env",
        "..\\.env",
        "css/../../.env",
        "/etc/passwd",
        "%00",
        "css",
        "",
    ],
)
async def test_nothing_outside_the_folders_is_served(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(f"/static/{path}")).status_code in (400, 404)


async def test_static_files_answer_with_their_type(client: httpx2.AsyncClient) -> None:
    for path, kind in [("css/site.css", "text/css"), ("core/ui.js", "javascript"), ("swagger/swagger-ui.css", "css")]:
        answer = await client.get(f"/static/{path}")
        assert (answer.status_code, kind in answer.headers["content-type"]) == (200, True)


async def test_every_template_renders_for_somebody_anonymous(app: FastAPI, client: httpx2.AsyncClient) -> None:
    for path in ["/", "/accounts/signup", "/accounts/login", "/api/docs"]:
        assert (await client.get(path)).status_code == 200


def test_pagination_links_keep_the_other_parameters() -> None:
    from starlette.datastructures import URL

    from project.core import Slice

    env = environment(Path("nowhere"), [])
    shown = env.from_string("{{ ui.pagination(page, address) }}")
    html = shown.render(page=Slice([], 35, 10, 10), address=URL("http://x/posts?q=a%26b&page=2"))
    assert 'href="?q=a%26b&amp;page=1"' in html
    assert 'href="?q=a%26b&amp;page=3"' in html
    assert "Page 2 of 4" in html
    last = shown.render(page=Slice([], 35, 10, 30), address=URL("/posts"))
    assert "page=5" not in last
    assert "pagination" not in shown.render(page=Slice([], 3, 10, 0), address=URL("/posts"))
