"""Who sits at which screen, and what must never happen on a page they see."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Request, Response, WebError


@dataclass(frozen=True)
class Look:
    """A screen and its owner's wishes."""

    name: str
    width: int = 1440
    height: int = 900
    touch: bool = False
    theme: Literal["light", "dark"] = "light"
    javascript: bool = True


PHONE_DARK = Look("phone-dark", 360, 740, touch=True, theme="dark")
PHONE_LIGHT = Look("phone-light", 360, 740, touch=True)
DESKTOP_DARK = Look("desktop-dark", theme="dark")
DESKTOP_LIGHT = Look("desktop-light")
PLAIN = Look("without-javascript", javascript=False)
# Journeys are made on one phone and at one desk, one of them dark, and the keyboard's on the two other screens:
# a theme changes no behaviour. What themes change is looked at on all four.
SCRIPTED = [PHONE_DARK, DESKTOP_LIGHT]
EVERY = [*SCRIPTED, PLAIN]
WITH_KEYBOARD = [PHONE_LIGHT, DESKTOP_DARK]
ALL_FOUR = [*SCRIPTED, *WITH_KEYBOARD]


# How htmx tells that the browser stopped a request because it left the page; a failure has its own words.
ABORTED = ("htmx:sendAbort", "htmx:afterRequest")


@dataclass
class Visitor:
    """A page, and the trouble seen on it; `provokes` holds the statuses that a test asks for
    on purpose, 0 for no answer at all."""

    page: Page
    look: Look
    site: str
    provokes: set[int] = field(default_factory=set)
    trouble: list[str] = field(default_factory=list)
    email: str = ""

    async def press(self, what: Locator) -> None:
        """Tap it on a phone, click it elsewhere."""
        await (what.tap() if self.look.touch else what.click())

    def listen(self) -> None:
        """Note every error and warning, every request off the site, every refused or failed one."""
        context = self.page.context
        context.on("request", self._on_request)
        context.on("response", self._on_response)
        context.on("requestfailed", self._on_failure)
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((self.site, "data:", "blob:")):
            self.trouble.append(f"foreign: {request.url}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.provokes:
            self.trouble.append(f"{response.status}: {urlsplit(response.url).path}")

    def _on_failure(self, request: Request) -> None:
        # Aborted is what the browser stops by itself when it leaves a page.
        if request.failure != "net::ERR_ABORTED" and 0 not in self.provokes:
            self.trouble.append(f"failed: {request.url} {request.failure}")

    def _on_error(self, error: WebError) -> None:
        if not str(error.error).startswith(ABORTED):
            self.trouble.append(f"uncaught: {error.error}")

    def _on_console(self, line: ConsoleMessage) -> None:
        noted = ("Failed to load resource", "Response Status Error Code", *ABORTED)  # the first two as an answer
        gone = 0 in self.provokes and line.text.startswith("htmx:")
        if line.type in ("error", "warning") and not line.text.startswith(noted) and not gone:
            self.trouble.append(f"{line.type}: {line.text}")


Visit = Callable[..., Awaitable[Visitor]]


@asynccontextmanager
async def visiting(browser: Browser, site: str, look: Look, **options: Any) -> AsyncIterator[Visitor]:
    """A new visitor with a browser profile of their own; any trouble fails at the end."""
    context = await browser.new_context(
        base_url=site,
        viewport={"width": look.width, "height": look.height},
        has_touch=look.touch,
        is_mobile=look.touch,
        color_scheme=look.theme,
        java_script_enabled=look.javascript,
        **options,
    )
    context.set_default_timeout(10_000)
    visitor = Visitor(await context.new_page(), look, site)
    visitor.listen()
    try:
        yield visitor
    finally:
        await context.close()
    assert not visitor.trouble, "\n".join(visitor.trouble)


def of_look(looks: list[Look]) -> pytest.MarkDecorator:
    """Run the test once for each of these screens."""
    return pytest.mark.parametrize("look", looks, ids=[look.name for look in looks])


def labelled(page: Page, label: str) -> Locator:
    """The field whose label begins so."""
    return page.get_by_label(re.compile(f"^{label}")).and_(page.locator("input, select, textarea"))
