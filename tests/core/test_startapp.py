"""`startapp`: an app that works at once, in every shape it can be asked for; or a sentence, and nothing written."""

import os
import re
import shutil
from pathlib import Path

import httpx2
import pytest
from playwright.async_api import Page, expect

from project.core.conf import ROOT
from project.core.management import CommandError
from project.core.management.browsing import browsing
from project.core.management.scaffolding import plugging
from project.core.management.scaffolding.copying import copied
from project.core.management.scaffolding.fields import read_field
from project.core.management.scaffolding.plugging import with_app
from project.core.management.scaffolding.spec import Spec
from project.core.testing.plugin import Manage
from tests.conftest import Run, manage_all
from tests.core.axe import LOOKS, broken, is_too_wide
from tests.core.conftest import serving, until_it_answers

pytestmark = pytest.mark.any_database
FIELDS = (
    "title:str body:text published:bool author:ref:accounts.User due:date? price:decimal:10,2 state:enum:draft,live"
)
KINDS = (
    "headline:text rating:float? stars:int at:datetime hour:time? link:url? mail:email? key:uuid? post:ref:zine.Post?"
)
SHAPES = [
    "zine Post",
    f"zine_news Article {KINDS} --public",
    "zine_wiki BlogEntry name:str --pages",
    "zine_crew Person name:str? --api --public --plural people",
]
WALKS = ["tests/walks.py", "tests/test_routes.py", "tests/test_foreign_rows.py", "tests/core/test_api_contract.py"]
MINUTE, SECONDS = 60, 30_000


def contents(site: Path) -> dict[str, bytes]:
    """Every file of the site but what Python leaves behind."""
    files = [path for path in site.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(site)): path.read_bytes() for path in files}


def spent() -> float:
    """Seconds of processor time that the processes of this one took, so that a busy machine does not matter."""
    times = os.times()
    return times.children_user + times.children_system


def must(run: Run, *words: str) -> None:
    done = run(*words)
    assert done.returncode == 0, (words, done.stdout, done.stderr)


async def look_at(page: Page, path: str) -> None:
    """It keeps WCAG 2.2 AA on a phone and at a desk, and fits a narrow phone."""
    await page.goto(path)
    for look in LOOKS:
        assert not await broken(page, path, look)
    assert not await is_too_wide(page)


async def test_an_app_takes_a_minute(site_copy: Path, site_environment: dict[str, str], run_in_copy: Run) -> None:
    """With its migration, its tests on both databases and its pages in Chromium, and no edit by hand."""
    before = spent()
    shutil.copytree(ROOT / ".data" / "vendor", site_copy / ".data" / "vendor")
    must(run_in_copy, "manage.py", "startapp", "zine", "Post", *FIELDS.split())
    must(run_in_copy, "manage.py", "migrate")
    must(run_in_copy, "manage.py", "test", "tests/zine")
    with serving(site_copy, site_environment, "--noreload") as (url, _):
        async with httpx2.AsyncClient(base_url=url) as client:
            await until_it_answers(client)
        async with browsing() as browser:
            page = await browser.new_page(base_url=url)
            await page.goto("/accounts/signup?next=/zine/posts")
            await page.get_by_label("E-mail").fill("ann@example.com")
            await page.get_by_label("Password", exact=True).fill("correct horse battery")
            await page.get_by_role("button", name="Sign up").click()
            await expect(page.get_by_role("heading", name="Posts")).to_be_visible(timeout=SECONDS)
            for title in ("Bread", "Apples"):
                await page.goto("/zine/posts/new")
                await page.get_by_label("Title").fill(title)
                await page.get_by_label("Body").fill("First words.")
                await page.get_by_label("Price").fill("10.20")
                await page.get_by_label("Due").fill("2031-02-03")
                await page.get_by_role("button", name="Save").click()
                await expect(page.get_by_role("heading", name=title)).to_be_visible()
            await page.get_by_role("link", name="All posts").click()
            await page.get_by_label("Search the posts").fill("app")
            await expect(page.get_by_role("link", name="Bread", exact=True)).to_have_count(0)
            await page.locator("a[data-dialog]").click()
            await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            await expect(page.get_by_role("link", name="Apples", exact=True)).to_have_count(0)
            await expect(page.get_by_text("Deleted.")).to_be_visible()
            await page.goto("/zine/posts")
            bread = await page.get_by_role("link", name="Bread", exact=True).get_attribute("href")
            for path in ("/zine/posts", "/zine/posts/new", str(bread)):
                await look_at(page, path)
    assert spent() - before < MINUTE


def test_every_shape_of_an_app_is_tidy_typed_tested_and_walked_through(
    site_copy: Path, site_environment: dict[str, str], run_in_copy: Run
) -> None:
    for path in WALKS:
        shutil.copy(ROOT / path, site_copy / path)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", site_copy / ".mypy_cache")
    manage_all(run_in_copy, *(f"startapp {shape}" for shape in SHAPES))
    made = [
        f"{folder}/{label}" for folder in ("apps", "tests") for label in ("zine", "zine_news", "zine_wiki", "zine_crew")
    ]
    must(run_in_copy, "-m", "ruff", "check", *made)
    must(run_in_copy, "-m", "ruff", "format", "--check", *made)
    must(run_in_copy, "-m", "mypy", *made)
    manage_all(run_in_copy, "check", "makemigrations --check")
    del site_environment["DEBUG"]  # the walks go through a site as in production
    must(run_in_copy, "manage.py", "test", *made[4:], *WALKS[1:], "--backend", "sqlite")
    assert not (site_copy / "apps" / "zine_wiki" / "api.py").exists()
    assert not list((site_copy / "templates").glob("zine_crew*"))


def test_it_is_short_and_has_no_placeholder() -> None:
    files = copied(Spec("blog", "Post", tuple(map(read_field, FIELDS.split()))))
    lines = [line for text in files.values() for line in text.splitlines()]
    assert len(lines) <= 450
    assert not [
        line
        for line in lines
        if re.search(r"\bTODO\b|\bFIXME\b|^\s*(pass|\.\.\.)$|(?<![a-z])[Tt]hings?(?![a-z])|scaffold", line)
    ]


REFUSED = {
    "class Post": "a word of Python: try classs",
    "Blog Post": "use small letters",
    "core Post": "the framework's own: try my_core",
    "json Post": "like a module of Python: try json_app",
    "accounts Post": "There is an app 'accounts' already",
    "zine post": "write it like Post or BlogPost",
    "zine List": "means something in Python: try ListItem",
    "zine Form": "which every app uses itself",
    "zine News --plural news": "give another with --plural",
    "zine title:str": "Name the model before its fields: startapp zine Post title:str",
    "zine Post title:string": "There is no type 'string'. Did you mean 'str'?",
    "zine Post title": "Write a field as name:type",
    "zine Post class:str": "a word of Python",
    "zine Post owner_id:str": "taken by the framework",
    "zine Post title:str title:text": "Two fields are called 'title'",
    "zine Post post:str": "like its model",
    "zine Post stars:int": "a field of words",
    "zine Post title:str open:bool?": "never empty",
    "zine Post title:str state:enum:draft": "two choices or more",
    "zine Post title:str price:decimal": "price:decimal:10,2",
    "zine Post title:str due:date:now": "takes nothing more",
    "zine Post title:str author:ref:User": "author:ref:accounts.User",
    "zine Post title:str author:ref:accounts.User reader:ref:accounts.User": "Only one field may refer to",
    "zine Post title:str room:ref:acounts.Room?": "no app 'acounts' to refer to. Did you mean 'accounts'?",
    "zine Post title:str room:ref:accounts.Usr?": "has no model 'Usr'. Did you mean 'User'?",
    "zine Post title:str group:ref:accounts.Group?": "does not export Group",
    "zine Post title:str --api --pages": "exclude each other",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_cannot_be_is_answered_with_advice(manage: Manage, monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    monkeypatch.setattr(plugging, "plug_in", None)  # nothing comes this far
    answer = manage("startapp", *words.split())
    assert REFUSED[words] in answer.output.replace("\n", " ")
    assert answer.exit_code in (1, 2)


@pytest.mark.parametrize("fault", ["two heads", "no list", "a template in the way"])
def test_whatever_stops_it_leaves_everything_as_it_was(site_copy: Path, run_in_copy: Run, fault: str) -> None:
    settings = site_copy / "project" / "settings.py"
    if fault == "two heads":
        head = 'revision = "9999_other"\ndown_revision = None\napps = []\n'
        (site_copy / "migrations" / "versions" / "9999_other.py").write_text(head)
    elif fault == "no list":
        text = re.sub(r"Names = \[.*?\]", 'Names = "project apps.accounts".split()', settings.read_text(), flags=re.S)
        settings.write_text(text)
    else:
        (site_copy / "templates" / "zine").mkdir()
    before = contents(site_copy)
    done = run_in_copy("manage.py", "startapp", "zine", "Post")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert contents(site_copy) == before
    assert not (site_copy / "apps" / "zine").exists()
    assert not list(site_copy.glob(".startapp*"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('X = 1\nINSTALLED_APPS = ["ü", "b"]  # mine\n', 'X = 1\nINSTALLED_APPS = ["ü", "b", "apps.blog"]  # mine\n'),
        ("INSTALLED_APPS = []\n", 'INSTALLED_APPS = ["apps.blog"]\n'),
        (
            'INSTALLED_APPS: Names = [\n  "a",\n  "b",  # b\n]\n',
            'INSTALLED_APPS: Names = [\n  "a",\n  "b",  # b\n  "apps.blog",\n]\n',
        ),
        ('INSTALLED_APPS = [\n  "a",\n  "b"  # b\n]\n', 'INSTALLED_APPS = [\n  "a",\n  "b",  # b\n  "apps.blog",\n]\n'),
        (
            'INSTALLED_APPS = Field(default=["a",\n  "b"])\n',
            'INSTALLED_APPS = Field(default=["a",\n  "b", "apps.blog"])\n',
        ),
    ],
)
def test_the_line_in_the_settings_keeps_their_form(before: str, after: str) -> None:
    assert with_app(before, "apps.blog") == after


def test_a_list_that_is_made_up_is_not_touched() -> None:
    with pytest.raises(CommandError, match="write it as a list of names"):
        with_app("INSTALLED_APPS = names()\n", "apps.blog")
