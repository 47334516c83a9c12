"""The docs are true: what they name exists, their links lead somewhere, the tutorial works as it is typed."""

import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import httpx2
import pytest
from selectolax.lexbor import LexborHTMLParser

from project.core.apps import Registry
from project.core.checks import BROKEN
from project.core.conf import ROOT
from project.core.management import catalogue
from project.core.management.check import REFUSED, every_check
from project.core.runtime import Runtime
from project.core.testing.plugin import MakeSettings, NewClient, running
from project.core.web.dev.docs import FOLDER, PREFIX, pages
from project.settings import Settings
from tests.conftest import Run, manage_all
from tests.test_architecture import tracked
from tests.test_settings_file import all_settings

pytestmark = pytest.mark.any_database

MADE = re.compile(r"(apps|templates|templates/mail|tests)/(blog|shop)\b")  # by the tutorial, or by you
OURS = re.compile(r"(apps|migrations|project|static|templates|tests)/[\w./-]*")
MORE = {"createsuperuser": " --noinput", "test": " --backend sqlite -n 0"}  # words that spare a test time
WRONG = "check --deploy"  # ends with 1, as the tutorial says
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.M | re.S)
SITE = "http://127.0.0.1:8000"


@cache
def texts() -> dict[str, str]:
    """{name: Markdown} of every page."""
    return {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.md")}


def blocks(name: str) -> Iterator[tuple[str, str, str]]:
    """(the prose before it, its language, its text) of each block of code."""
    parts = BLOCK.split(texts()[name])
    yield from zip(parts[0::3], parts[1::3], parts[2::3], strict=False)


def said(name: str) -> str:
    """The prose of a page that is about us: no code, no column of tables for Django, none of the seed's faults."""
    prose = BLOCK.sub("", texts()[name])
    if name == "seed":
        prose = re.sub(r"^- .*\n(  .*\n)*", "", prose, flags=re.M)
    for table in re.findall(r"^\| in Django .*?\n\n", prose, re.M | re.S):
        prose = prose.replace(table, re.sub(r"^\|[^|]*\|", "|", table, flags=re.M))
    return prose


def spans(name: str) -> list[str]:
    """What is written `so`."""
    return re.findall(r"`([^`\n]+)`", said(name))


def known_commands() -> set[str]:
    """The commands of manage.py."""
    apps = Registry(Settings.model_fields["INSTALLED_APPS"].default)
    return {*catalogue.CORE, *apps.commands, "help"}


def known_ids(make_settings: MakeSettings) -> set[str]:
    """All that `check` may find."""
    found = [each for one in every_check(Runtime(make_settings())) for each in one.finds]
    return {each.id for each in (BROKEN, REFUSED, *found)}


@pytest.fixture
async def reader(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """A client on the site in development; the docs ask no database."""
    async with running(make_settings(DEBUG=True, DATABASE_URL=f"sqlite:///{tmp_path}/none.sqlite3")) as app:
        yield new_client(app)


async def test_every_page_is_served_and_every_link_leads_somewhere(reader: httpx2.AsyncClient) -> None:
    seen: dict[str, LexborHTMLParser] = {}
    links: set[tuple[str, str, str]] = set()
    waiting = [PREFIX]
    while waiting:
        path = waiting.pop()
        answer = await reader.get(path)
        assert answer.status_code == 200, path
        seen[path] = LexborHTMLParser(answer.text)
        for link in seen[path].css("main a[href]"):
            target, _, part = str(link.attributes["href"]).partition("#")
            target = target or path
            if target.startswith("/"):
                links.add((path, target, part))
            else:
                assert re.match(r"https?://", target), (path, target)
        waiting += {target for _, target, _ in links if target.startswith(PREFIX)} - seen.keys() - set(waiting)
    assert len(seen) == len(pages())
    for path, target, part in links:
        assert target in seen, f"{path} links to {target}"
        assert not part or seen[target].css_first(f'[id="{part}"]'), f"{path} links to {target}#{part}"
    for path, page in seen.items():
        ids = [each.attributes["id"] for each in page.css("[id]")]
        assert len(ids) == len(set(ids)), path
        assert len(page.css("main h1")) == 1, path
        assert page.css_first('nav [aria-current="page"]'), path


async def test_pages_that_are_not_there_are_404_and_so_is_everything_in_production(
    reader: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    for path in ["/nowhere", "/../operations", "/%2e%2e/%2e%2e/README", "/operations.md", "/reference", "/Index"]:
        assert (await reader.get(PREFIX + path)).status_code == 404, path
    for path in ["", "/tutorial", "/reference/settings"]:
        assert (await client.get(PREFIX + path)).status_code == 404, path


async def test_html_in_a_page_is_shown_as_text(reader: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.core.web.dev.docs.source", lambda *_: "# A <b>\n\n<script>1</script>\n")
    page = LexborHTMLParser((await reader.get(PREFIX)).text)
    article = page.css_first(".docs-text")
    assert article is not None
    assert "<script>1</script>" in article.text()
    assert not article.css("b, script")


async def test_the_reference_has_every_setting_command_and_check(
    reader: httpx2.AsyncClient, make_settings: MakeSettings
) -> None:
    async def headings(name: str) -> list[str]:
        page = LexborHTMLParser((await reader.get(f"{PREFIX}/reference/{name}")).text)
        return [each.text() for each in page.css("h3")]

    apps = Registry(Settings.model_fields["INSTALLED_APPS"].default)
    assert await headings("settings") == list(all_settings())
    commands = await headings("commands")
    assert {name for name in commands if " " not in name} == {*catalogue.CORE, *apps.commands}
    assert {"jobs list", "jobs retry"} <= set(commands)
    assert len(commands) == len(set(commands))
    assert sorted(await headings("checks")) == sorted(known_ids(make_settings))
    settings = (await reader.get(f"{PREFIX}/reference/settings")).text
    for words in ["A whole number, at least 1, at most 200. Default: <code>10</code>", "text, kept secret", "must be"]:
        assert words.lower() in settings.lower(), words
    assert str(ROOT) not in settings


@pytest.mark.parametrize("name", sorted(texts()))
def test_what_a_page_names_exists(name: str, make_settings: MakeSettings) -> None:
    sources = "\n".join(
        path.read_text("utf-8")
        for path in tracked()
        if path.suffix in (".py", ".html", ".js") and not path.is_relative_to(ROOT / "tests")
    )
    ids = known_ids(make_settings)
    for span in spans(name):
        if OURS.fullmatch(span) and not MADE.match(span):
            assert (ROOT / span).exists(), span
        if re.fullmatch(r"[A-Z][A-Z_]{3,}", span):
            assert span in all_settings(), span
        if re.fullmatch(r"[a-z]+\.[EWI]\d{3}", span):
            assert span in ids, span
        for called in re.findall(r"\b([A-Za-z_]\w+)\(", span):
            assert re.search(rf"\b{called}\b", sources), f"{called} of {span}"
    shown = set(re.findall(r"\bdef (\w+)\(", texts()[name]))  # a command that the page itself writes
    assert set(re.findall(r"manage\.py ([a-z]+)", texts()[name])) <= known_commands() | shown


def test_the_commands_beside_those_of_django_exist() -> None:
    table = texts()["coming-from-django"].partition("## Command by command")[2].partition("## ")[0]
    named = set()
    for django, here in re.findall(r"^\| (`.*?) \| (.*?) \|", table, re.M):
        named |= {each.split()[0] for each in re.findall(r"`(.+?)`", django if here == "the same" else here)}
    assert len(named) > 12
    assert named <= known_commands()


@pytest.mark.parametrize("name", sorted(texts()))
def test_code_is_copied_as_it_is_typed(name: str) -> None:
    for _, language, text in blocks(name):
        assert language in {"sh", "python", "html", "diff", "text"}
        assert not re.search(r"^(\$|>>>|\.\.\.|#) ", text, re.M) or language != "sh", text
        if language == "python" and name != "coming-from-django":
            compile(text, name, "exec")


def patched(text: str, change: str) -> str:
    """The text with a change that is written as a diff: its lines with a plus come to those without."""
    lines = change.splitlines()
    before = "\n".join(line[1:] for line in lines if line[:1] != "+")
    after = "\n".join(line[1:] for line in lines if line[:1] != "-")
    assert text.count(before) == 1, f"{before!r} has to be there once"
    return text.replace(before, after)


async def test_the_tutorial_works_as_it_is_typed(
    site_copy: Path, site_environment: dict[str, str], run_in_copy: Run, migrated_file: Path
) -> None:
    site_environment |= {"SUPERUSER_EMAIL": "boss@example.com", "SUPERUSER_PASSWORD": "a long enough word"}
    site_environment |= {"DATA_DIR": str(site_copy / ".data")}
    shutil.copy(migrated_file, site_copy / "db.sqlite3")  # what the first start does
    left = Counter(line for _, language, text in blocks("tutorial") if language == "sh" for line in text.splitlines())
    place, read, waiting, tests = "", "", list[str](), list[str]()

    def run_them() -> None:
        if waiting:
            manage_all(run_in_copy, *waiting, ends={WRONG: 1})
        waiting.clear()

    for prose, language, text in blocks("tutorial"):
        read += prose
        place = (re.findall(r"`((?:apps|templates|tests)/[\w/]+\.\w+)`", prose) or [place])[-1]
        if language == "sh":
            for line in text.splitlines():
                left[line] -= 1
                command = line.removeprefix("python3 manage.py ")
                name = command.split()[0]
                if name != "runserver" and not left[line]:  # what is typed twice is run the last time
                    (tests if name == "test" else waiting).append(command + MORE.get(name, ""))
                if name == "startapp":  # what follows has to find it
                    run_them()
            continue
        run_them()
        if language == "diff":
            (site_copy / place).write_text(patched((site_copy / place).read_text(), text))
        else:
            (site_copy / place).parent.mkdir(parents=True, exist_ok=True)
            (site_copy / place).write_text(text)
    waiting += [f"request GET {address} --user boss@example.com" for address in re.findall(rf"<{SITE}(/[^>]*)>", read)]
    run_them()
    for line in tests:
        manage_all(run_in_copy, line)
    for path in re.findall(r"`([\w./]+)`", read):
        assert not MADE.match(path) or (site_copy / path).exists(), path
