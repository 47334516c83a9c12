"""WCAG 2.2 AA by axe-core, on a page as it stands in a browser."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from playwright.async_api import Page

SPEC = find_spec("axe_playwright_python")  # a wheel around axe.min.js, which is all we take of it
AXE = (Path(((SPEC and SPEC.submodule_search_locations) or [""])[0]) / "axe.min.js").read_text()
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
Look = tuple[Literal["light", "dark"], tuple[int, int]]
LOOKS: list[Look] = [("light", (360, 740)), ("dark", (1440, 900))]
# Where the markup is somebody else's: the rules it breaks, and whose it is.
NOT_OURS = {
    "/admin": {
        "listitem": "SQLAdmin's menu items stand in no list",
        "button-name": "SQLAdmin's button that empties the search shows only a cross",
    },
    "/api/docs": {
        "color-contrast": "Swagger UI's badges and buttons",
        "nested-interactive": "Swagger UI's operation is a button with a link in it",
        "target-size": "Swagger UI's links to an operation stand close",
    },
}


async def run_axe(page: Page, *excused: str) -> list[dict[str, str]]:
    """What the page as it stands breaks, of the standard less the excused rules."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE)
    rules = {rule: {"enabled": False} for rule in excused}
    options = {"resultTypes": ["violations"], "preload": False, "runOnly": STANDARD, "rules": rules}
    brief = "rule.nodes.map(node => ({rule: rule.id, where: node.target.join(' '), why: node.failureSummary}))"
    found: list[dict[str, str]] = await page.evaluate(
        f"async () => (await axe.run({json.dumps(options)})).violations.flatMap(rule => {brief})"
    )
    return found


async def broken(page: Page, name: str, look: Look | None = None) -> list[str]:
    """Our violations on a phone in the light or, for every other page, on a desk in the dark: axe takes long."""
    excused = {rule for start, rules in NOT_OURS.items() if name.startswith(start) for rule in rules}
    theme, (width, height) = look or LOOKS[len(name) % 2]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    return [f"{name} at {width}: {each}" for each in await run_axe(page, *excused)]


async def is_too_wide(page: Page) -> bool:
    """Whether one has to scroll sideways on the narrowest screen that WCAG asks about (1.4.10)."""
    await page.set_viewport_size({"width": 320, "height": 640})
    wide: bool = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return wide
