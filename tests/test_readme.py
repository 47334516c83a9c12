"""The README is true: its blog works as printed, and its commands exist."""

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from fastapi import FastAPI
from starlette.requests import Request

from project.core.live import Event, notify, publish
from project.core.live.notices import topic_of
from project.core.management import catalogue
from project.core.testing.plugin import Manage
from project.core.testing.recorded import RecordedBus
from tests.conftest import Run, manage_all

README = Path(__file__).resolve().parents[1] / "README.md"


def printed_files() -> dict[str, str]:
    """{path: text} of each file that is added to the blog by hand: the block that follows the line which names it.

    It is called a diary here, since this site may have a blog of its own by now.
    """
    files: dict[str, str] = {}
    named = ""
    parts = re.split(r"^```(\w*)\n", README.read_text(), flags=re.M)
    for prose, text in zip(parts[0::4], parts[2::4], strict=False):
        found = re.findall(r"^(?:and |Two templates\. |.*?)`((?:apps|templates|tests)/blog/\w+\.\w+)`", prose, re.M)
        named = found[-1] if found else ""
        if named:
            files[_diary(named)] = _diary(text)
    return files


CRAWL = """\
from uuid import UUID

from apps.accounts.testing import add_user, sign_in_as
from apps.diary.models import Post
from project.core.testing.crawler import ELSEWHERE, Crawler


async def test_its_forms_do_the_same_with_htmx_and_without(shared_app, new_client):
    async def writer(client):
        user = await add_user(shared_app)
        await sign_in_as(client, shared_app, user)
        async with shared_app.state.runtime.unit_of_work() as db:
            db.add(Post(id=UUID(int=7), owner_id=user.id, title="Hello", body="Words."))

    others = ("/accounts", "/fetcher", "/realtime")
    report = await Crawler(shared_app, new_client, {"writer": writer}, elsewhere=(*ELSEWHERE, *others)).run()
    assert not report.problems
    row = f"/diary/posts/{UUID(int=7)}"
    assert {"/diary/posts Search", "/diary/posts/new Save", f"{row}/edit Save", f"{row}/delete Delete"} <= report.forms
"""


def _diary(text: str) -> str:
    return text.replace("blog", "diary").replace("Blog", "Diary")


def test_the_blog_works_as_printed(site_copy: Path, run_in_copy: Run) -> None:
    files, text = printed_files(), README.read_text()
    enqueue = files.pop("apps/diary/services.py")
    assert len(files) == 5
    start = re.findall(r"^\$ python3 (manage\.py startapp .*)", text, re.M)[0].split()
    done = run_in_copy(*map(_diary, start))
    assert done.returncode == 0, done.stderr
    services = site_copy / "apps" / "diary" / "services.py"
    written = services.read_text().replace("    await db.flush()\n", f"    await db.flush()\n{enqueue}", 1)
    services.write_text(written.replace("Slice, get_or_404", "Slice, enqueue, get_or_404"))
    for name, content in (files | {"tests/diary/test_crawl.py": CRAWL}).items():
        (site_copy / name).write_text(content)
    manage_all(run_in_copy, "migrate", "makemigrations --check", "check")
    for words in [
        ("-m", "ruff", "check", "apps/diary", "tests/diary"),
        ("-m", "ruff", "format", "--check", "apps/diary", "tests/diary"),
        ("manage.py", "test", "tests/diary", "--backend", "sqlite"),
    ]:
        done = run_in_copy(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)


def test_every_command_it_names_exists(manage: Manage) -> None:
    text = README.read_text()
    for name in set(re.findall(r"manage\.py ([a-z]+)", text)) - {"help", "test"}:
        assert manage(name, "--help").exit_code == 0, name


def test_every_command_is_in_its_table() -> None:
    table = "\n".join(line for line in README.read_text().splitlines() if line.startswith("|"))
    for name in [*catalogue.CORE, "createsuperuser", "changepassword", "fetch"]:
        assert f"`{name}" in table, name


@pytest.mark.any_database
async def test_its_live_lines_work_and_are_about_the_same_topic(app: FastAPI, bus: RecordedBus) -> None:
    section = README.read_text().partition("\n## Live pages\n")[2].partition("\n## ")[0]
    html, python = re.findall(r"^```(?:html|python)\n(.*?)^```", section, re.M | re.S)
    post = SimpleNamespace(id=7, author_id=UUID(int=9))
    request = Request({"type": "http", "app": app, "path": "/blog/posts/7", "headers": [], "state": {}})
    drawn = app.state.templates.from_string(html).render(request=request, post=post, likes=3)
    topic, block = re.findall(r'data-live="(\S+)" data-live-block="(\S+)"', drawn)[0]
    assert (block, "<strong>3</strong>" in drawn) == ("likes", True)
    lines = compile(python, README, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with app.state.runtime.unit_of_work() as db:
        await eval(lines, {"db": db, "post": post, "publish": publish, "notify": notify, "Event": Event})  # noqa: S307
    assert [name for name, _ in bus.published] == [topic, topic_of(post.author_id)]
