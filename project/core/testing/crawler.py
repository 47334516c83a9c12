"""A crawler that sends every form of the site, as plain HTML and as htmx, and finds where the two differ.

Each form is sent with valid data made from its own rules, with empty data and with wrong data, by every kind of
visitor, each time in a fresh state of the database that is rolled back.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx2
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from selectolax.lexbor import LexborNode as Node

from project.core.testing import dom
from project.core.testing.databases import rolled_back
from project.core.testing.dom import attribute, kind, name
from project.core.testing.filling import FILES, valid, wrong
from project.core.testing.htmx import HtmxPage
from project.core.testing.hx import VERBS
from project.core.testing.pages import Page, PageError
from project.core.testing.rows import Rows, rows_of
from project.core.web.limits import Limiter

ELSEWHERE = ("/admin", "/api", "/static", "/health", "/metrics", "/live", "/_dev")
VALID, EMPTY, WRONG = CASES = ("valid data", "empty data", "wrong data")
QUERIES_PER_PATH = 5
PATIENCE = 60  # seconds for a page
BY_CHANCE = re.compile(r"/(\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[/?#]|$)")  # the id of a new row
SignIn = Callable[[httpx2.AsyncClient], Awaitable[object]]


@dataclass
class Report:
    """What a crawl saw; `problems` is empty when both ways agree everywhere."""

    pages: set[str] = field(default_factory=set)
    forms: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def complain(self, problem: str) -> None:
        """Write a problem down, once."""
        if problem not in self.problems:
            self.problems.append(problem)


@dataclass
class Place:
    """A form as a visitor found it: the page, its number there, the number of the button and its words."""

    person: str
    url: str
    form: int
    button: int
    words: str
    fillable: bool

    def __str__(self) -> str:
        return f"{self.person}, {self.url}, form {self.words!r}"


@dataclass
class Outcome:
    """What sending a form came to."""

    refused: bool
    added: list[str]
    removed: list[str]
    said: list[str]
    errors: dict[str, str]
    page: tuple[str, ...]


@dataclass
class Crawler:
    """Visits every page of a site, and sends every form both ways: `report = await Crawler(…).run()`.

    Args:
        app: the site, its lifespan run, with no transaction open on its database.
        new_client: makes a client without cookies.
        people: kinds of visitors: {"member": f}; `await f(client)` prepares the database and signs the client in.
        values: valid data that no machine can guess: {"Label": text}, or for one page {"/path Label": text}.
        elsewhere: where not to go: paths that begin so.
    """

    app: FastAPI
    new_client: Callable[[FastAPI], httpx2.AsyncClient]
    people: Mapping[str, SignIn]
    values: Mapping[str, str] = field(default_factory=dict)
    elsewhere: Sequence[str] = ELSEWHERE
    report: Report = field(default_factory=Report, init=False)
    _cookies: httpx2.Cookies = field(default_factory=httpx2.Cookies, init=False)

    async def run(self) -> Report:
        """Visit and send everything, as everybody."""
        for person in self.people:
            async with self.visiting(person) as places:
                for place in places:
                    for case in CASES if place.fillable else CASES[:1]:
                        await self._compare(place, case)
        return self.report

    @asynccontextmanager
    async def visiting(self, person: str) -> AsyncIterator[list[Place]]:
        """Prepare the site for this visitor, until the end, and visit it; gives the forms, each once."""
        async with rolled_back(self.app.state.runtime.database):
            self.app.state.limiter = Limiter()
            client = self.new_client(self.app)
            await self.people[person](client)
            self._cookies = client.cookies
            yield await self._explore(person)

    async def _explore(self, person: str) -> list[Place]:
        """Visit every page that this visitor can reach; returns the forms, each once."""
        places: dict[object, Place] = {}
        waiting = {url: "the table of routes" for url in ["/", *self._routes()]}
        seen, variants = set(waiting), Counter[str]()
        async with self._page(Page) as page:
            while waiting:
                url, origin = waiting.popitem()
                try:
                    async with asyncio.timeout(PATIENCE):
                        await page.open(url)
                except TimeoutError:
                    told = f"{person}, {origin} leads to {url}, which has no end: name a stream in `elsewhere`."
                    self.report.complain(told)
                    continue
                if page.status in (404, 405) or page.status >= 500:
                    self.report.complain(f"{person}, {origin} leads to {url}, which answers {page.status}.")
                if not self._wanted(page.url) or "html" not in page.answer.headers.get("content-type", ""):
                    continue
                self.report.pages.add(page.url)
                for href, words in page.links.items():
                    target = page.join(href).copy_with(fragment=None)
                    path = target.raw_path.decode()
                    variants[target.path] += path not in seen
                    fresh = path not in seen and variants[target.path] <= QUERIES_PER_PATH
                    if fresh and target.netloc == page.client.base_url.netloc and self._wanted(target.path):
                        seen.add(path)
                        waiting[path] = f"{page.url}, the link {words!r}"
                for number, form in enumerate(page.forms):
                    for which, button in enumerate(_buttons(form) or [None]):
                        fillable = any(map(_fillable, dom.controls(form)))
                        place = Place(person, page.url, number, which, name(button) if button else "", fillable)
                        places.setdefault(_signature(page, form, button), place)
                self._find_stray(person, page)
        return list(places.values())

    def _routes(self) -> list[str]:
        """The addresses of the route table that need nothing filled in."""
        paths = [each.path or "" for each in iter_route_contexts(self.app.routes) if "GET" in (each.methods or ())]
        return [path for path in paths if path and "{" not in path and self._wanted(path)]

    def _wanted(self, path: str) -> bool:
        return not f"{path}/".startswith(tuple(f"{each}/" for each in self.elsewhere))

    def _find_stray(self, person: str, page: Page) -> None:
        """Complain of what changes things and stands in no form."""
        for each in page.document.css(", ".join(f"[hx-{verb}]" for verb in VERBS if verb != "get")):
            if each.tag != "form" and dom.owner(each) is None:
                said = f"{person}, {page.url}: {name(each)!r} works with htmx only. Put it into a form."
                self.report.complain(said)

    @asynccontextmanager
    async def _page(self, make: type[Page]) -> AsyncIterator[Page]:
        """A page of the visitor's; what is done with it is rolled back."""
        async with rolled_back(self.app.state.runtime.database):
            self.app.state.limiter = Limiter()
            client = self.new_client(self.app)
            client.cookies.update(self._cookies)
            yield make(client)

    async def _compare(self, place: Place, case: str) -> None:
        """Send one form both ways, and write down how the outcomes differ."""
        self.report.forms.add(f"{place.url.partition('?')[0]} {place.words}")
        try:
            plain, htmx = await self.send(Page, place, case), await self.send(HtmxPage, place, case)
        except PageError as error:
            return self.report.complain(f"{place}, {case}: {error}")
        if case == VALID and plain.refused:
            told = f"{place}: what the crawler made up was refused; give it `values`. {plain.said} {plain.errors}"
            self.report.complain(told)
        for aspect, one in vars(plain).items():
            if one != (other := vars(htmx)[aspect]):
                self.report.complain(f"{place}, {case}: {aspect} differs. HTML: {one}; htmx: {other}.")
        return None

    async def send(self, make: type[Page], place: Place, case: str) -> Outcome:
        """Send a form filled in so, and tell what came of it; raises PageError for an address that fails."""
        async with self._page(make) as page:
            await page.open(place.url)
            if len(page.forms) <= place.form:
                raise PageError("its form is gone when the page is opened again: give rows the same ids each time.")
            known: set[object] = set()
            before = await self._rows(known)
            self._fill(page, place, case)
            if isinstance(page, HtmxPage):
                await self._leave_fields(page, place, case, before, known)
            form = page.forms[place.form]
            buttons = _buttons(form)
            await (page.press(buttons[place.button]) if buttons else page.send(form))
            after = await self._rows(known)
        for status, address in page.history:
            if status in (404, 405) or status >= 500:
                raise PageError(f"{address} answers {status}{' to htmx' if make is HtmxPage else ''}.")
        refused = page.status >= 400
        return Outcome(
            refused=refused,
            added=sorted((after - before).elements()),
            removed=sorted((before - after).elements()),
            said=sorted({*page.messages, *page.summary}),
            errors=page.errors,
            page=() if refused else (BY_CHANCE.sub("/…", page.url), page.title, page.heading),
        )

    async def _leave_fields(self, page: HtmxPage, place: Place, case: str, before: Rows, known: set[object]) -> None:
        """Leave each field that asks the server about itself: nothing may change by that."""
        for number, each in enumerate(dom.controls(page.forms[place.form])):
            if "hx-post" in each.attributes and kind(each) not in dom.PRESSED:
                await page.leave(dom.controls(page.forms[place.form])[number])
                if await self._rows(known) != before:
                    raise PageError(f"leaving the field {name(each)!r} changes the database.")
                self._fill(page, place, case)

    def _fill(self, page: Page, place: Place, case: str) -> None:
        for each in dom.controls(page.forms[place.form]):
            if not _fillable(each):
                continue
            if (what := kind(each)) in ("checkbox", "radio"):
                page.tick(each, on=case == VALID or (what == "radio" and "checked" in each.attributes))
            elif what == "select":
                possible = [option for option in each.css("option") if dom.value(option)]
                page.select(each, possible[-1:] if case != EMPTY else [])
            elif what == "file":
                page.files[each] = [FILES["image" if "image" in attribute(each, "accept") else ""]] * (case == VALID)
            elif case == VALID:
                given = self.values.get(f"{place.url.partition('?')[0]} {name(each)}", self.values.get(name(each)))
                page.write(each, valid(each) if given is None else given)
            else:
                page.write(each, "" if case == EMPTY else wrong(each))

    async def _rows(self, known: set[object]) -> Rows:
        return await rows_of(self.app.state.runtime.database, known)


def _fillable(field: Node) -> bool:
    fixed = dom.disabled(field) or "readonly" in field.attributes
    return kind(field) not in (*dom.PRESSED, "hidden") and not fixed


def _buttons(form: Node) -> list[Node]:
    return [each for each in dom.controls(form) if kind(each) == "submit" and not dom.disabled(each)]


def _signature(page: Page, form: Node, button: Node | None) -> object:
    """What tells forms apart: the log-out form of every page is one."""
    ways = [page.join(attribute(form, f"hx-{verb}")).path for verb in VERBS if f"hx-{verb}" in form.attributes]
    fields = [(attribute(each, "name"), kind(each)) for each in dom.controls(form)]
    action = page.join(page.wanted(form, button, "action")).path
    return (*ways, action, page.wanted(form, button, "method"), *fields, name(button) if button else "")
