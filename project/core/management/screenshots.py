"""Pictures of every page, narrow and wide, light and dark, of a throw-away site: for eyes, before a release."""

import asyncio
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal
from urllib.parse import urljoin

import click
from fastapi import FastAPI
from pydantic import SecretStr

from project.core.conf import ROOT, Settings
from project.core.management import CommandError, Site, browsing

if TYPE_CHECKING:
    from playwright.async_api import Page

THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SHEET = """<!doctype html><meta charset="utf-8"><title>Screenshots</title>
<style>
  body {{ font: 14px sans-serif; background: #999 }}
  figure {{ display: inline-block; margin: 8px; vertical-align: top }}
  img {{ display: block; max-width: 340px }}
</style>
{}
"""


@click.command(epilog="Example: manage.py screenshots / /accounts/login --width 390")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--out", type=click.Path(path_type=Path), help="The folder; else screenshots in DATA_DIR.")
@click.option("--width", "widths", type=int, multiple=True, default=(360, 1440), show_default=True, help="In pixels.")
@click.pass_obj
def screenshots(site: Site, paths: tuple[str, ...], out: Path | None, widths: tuple[int, ...]) -> None:
    """Take pictures of every page, or of the named ones."""
    if find_spec("playwright") is None:
        raise CommandError("Playwright is not installed: `python3 manage.py test` brings it.")
    if browsing.CHROMIUM is None:
        raise CommandError("There is no Chromium on this machine: on Debian, `apt-get install chromium` brings it.")
    camera = Camera(out or site.settings.DATA_DIR / "screenshots", widths)
    camera.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        changes = {"DEBUG": True, "SITE_URL": "http://127.0.0.1", "LOG_LEVEL": "ERROR"}
        database = {"DATABASE_URL": SecretStr(f"sqlite:///{folder}/db.sqlite3")}
        asyncio.run(_walk_all(site.settings.model_copy(update=changes | database), paths, camera))
    if not camera.taken:
        raise CommandError("There is no page to be seen: `python3 manage.py routes` lists every address.")
    names = map(escape, sorted(camera.taken))
    figures = [f'<figure>{name}<a href="{name}"><img src="{name}" alt=""></a></figure>' for name in names]
    sheet = camera.folder / "index.html"
    sheet.write_text(SHEET.format("\n".join(figures)), encoding="utf-8")
    click.echo(f"{len(camera.taken)} pictures, all of them in {sheet}")


@dataclass(frozen=True)
class Camera:
    """Takes pictures in each width; `taken` holds the names of their files."""

    folder: Path
    widths: Sequence[int]
    taken: list[str] = field(default_factory=list)

    async def take(self, page: "Page", name: str, theme: str) -> None:
        """The whole page, as long as it is."""
        for width in self.widths:
            await page.set_viewport_size({"width": width, "height": 740 if width < 600 else 900})
            file = f"{name}--{width}-{theme}.png"
            await page.screenshot(path=self.folder / file, full_page=True, animations="disabled")
            self.taken.append(file)


async def _walk_all(settings: Settings, paths: Sequence[str], camera: Camera) -> None:
    from project.core.asgi import create_app
    from project.core.db.migrations import migrate_database

    await migrate_database(settings.database_url)
    app = create_app(settings)
    browsing.add_refusals(app)
    password = secrets.token_urlsafe()
    doors = await asyncio.to_thread(_doors, app, password)
    async with browsing.serving(app) as url, browsing.browsing() as browser, asyncio.TaskGroup() as group:
        for who, door in doors.items():
            page = await browser.new_page(base_url=url)
            refusals = [] if paths or door else browsing.REFUSAL_PATHS
            if door:
                await _come_in(page, door, f"{who}@example.com", password)
            group.create_task(_walk(page, who, [*(paths or browsing.page_paths(app)), *refusals], camera))


async def _come_in(page: "Page", door: str, email: str, password: str) -> None:
    await page.goto(door)
    await page.locator("input[type=email]").fill(email)
    await page.locator("input[type=password]").fill(password)
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda url: not url.endswith(door))


def _doors(app: FastAPI, password: str) -> dict[str, str]:
    """{who: where they come in}: a visitor, and where the site has accounts a member and one of the staff."""
    settings, registry = app.state.runtime.settings, app.state.runtime.registry
    if not registry.login:
        return {"visitor": ""}
    env = os.environ | {
        "MANAGE_NO_BOOTSTRAP": "1",
        "SECRET_KEY": settings.keys[0],
        "DATABASE_URL": settings.DATABASE_URL.get_secret_value(),
        "SUPERUSER_EMAIL": "staff@example.com",
        "SUPERUSER_PASSWORD": password,
    }
    words = [sys.executable, "manage.py", "createsuperuser", "--noinput"]
    subprocess.run(words, cwd=ROOT, env=env, check=True, stdout=subprocess.DEVNULL)
    login = str(app.url_path_for(registry.login))
    return {"visitor": "", "member": urljoin(login, "signup"), "staff": login}


async def _walk(page: "Page", who: str, paths: Sequence[str], camera: Camera) -> None:
    for path in paths:
        name = f"{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-') or 'home'}--{who}"
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if not await browsing.show(page, path):
                break
            await page.wait_for_load_state("networkidle")
            await camera.take(page, name, theme)
        else:
            if await browsing.show_refused(page):
                for theme in THEMES:
                    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
                    await camera.take(page, f"{name}-refused", theme)
