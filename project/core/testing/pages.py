"""A page as people use it, without a browser: open it, fill fields by their labels, press by the words, look.

`await page.open("/accounts/signup").fill("E-mail", "ann@example.com").submit("Sign up")`: the steps run when
awaited. What a person could not do is a PageError, which says what there is instead. The browser's own checks
(required, maxlength, type) are not made, so that a test reaches the server's refusal.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from difflib import SequenceMatcher
from html import escape
from typing import Any, Self

import httpx2
from selectolax.lexbor import LexborHTMLParser, LexborNode as Node

from project.core.testing import dom
from project.core.testing.dom import File, attribute, kind, name, owner, said

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-User": "?1", "Accept": "text/html"}
Step = Callable[[], Awaitable[object] | None]


class PageError(AssertionError):
    """A step that a person could not take."""


class Page:
    """One tab of a browser without JavaScript; `client` sends its requests and keeps the cookies."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client
        self.answers: list[httpx2.Response] = []
        self.files: dict[Node, list[File]] = {}
        self._steps: list[Step] = []
        self._document = dom.parse("")
        self._address: httpx2.URL | None = None
        self._scope = "html"

    def open(self, url: str) -> Self:
        """Type an address."""
        return self._then(lambda: self.visit(self.join(url), typed=True))

    def inside(self, css: str) -> Self:
        """Take the next steps inside the first element that matches; a new page ends it."""
        return self._then(lambda: setattr(self, "_scope", css))

    def fill(self, label: str, text: str) -> Self:
        """Write into the field with this label."""
        return self._then(lambda: self.write(self._field(label), text))

    def check(self, label: str) -> Self:
        """Tick a checkbox, or one radio button by its own label."""
        return self._then(lambda: self.tick(self._field(label, "checkbox", "radio")))

    def uncheck(self, label: str) -> Self:
        """Take the tick off a checkbox."""
        return self._then(lambda: self.tick(self._field(label, "checkbox"), on=False))

    def choose(self, label: str, *options: str) -> Self:
        """Choose by the words: in a select (several, where it takes several), or in a group of radio buttons."""
        return self._then(lambda: self._choose(label, options))

    def attach(self, label: str, content: bytes, name: str, type: str = "application/octet-stream") -> Self:
        """Give a file; where the field takes several, one more."""
        return self._then(lambda: self.give(self._field(label, "file"), File(name, content, type)))

    def click(self, words: str) -> Self:
        """Follow a link, or press a button."""
        return self._then(lambda: self._click(words))

    def submit(self, words: str = "") -> Self:
        """Press a button by its words; without words, the only one that sends a form."""
        return self._then(lambda: self.press(self._button(words)))

    @property
    def document(self) -> LexborHTMLParser:
        """The page as it stands. Raises PageError while steps wait for an await, and before the first page."""
        if self._steps or not self.answers:
            raise PageError("Steps are waiting: put `await` before them." if self._steps else "Open a page first.")
        return self._document

    @property
    def answer(self) -> httpx2.Response:
        """The last answer, after redirects."""
        return (self.answers if self.document else [])[-1]

    @property
    def status(self) -> int:
        """The last answer's status."""
        return self.answer.status_code

    @property
    def url(self) -> str:
        """Path and query of the address bar."""
        assert self.document
        return self.join("").raw_path.decode()

    @property
    def title(self) -> str:
        """The document's title."""
        return said(self.document.css_first("title"))

    @property
    def heading(self) -> str:
        """The first h1."""
        return said(self.document.css_first("h1"))

    @property
    def text(self) -> str:
        """All that can be read."""
        return said(self.document.body)

    @property
    def messages(self) -> list[str]:
        """What the site says: flashes and toasts, or the message of an error page."""
        found = self.document.css("#flashes [role=status], #flashes [role=alert], #trouble-message")
        return [said(each, dom.UNSEEN | {"button"}) for each in found]

    @property
    def summary(self) -> list[str]:
        """The lines above a refused form."""
        return [said(each) for each in self.document.css(".summary li")]

    @property
    def errors(self) -> dict[str, str]:
        """{label: text} of the errors beside fields."""
        found: dict[str, str] = {}
        for field in self.document.css("[aria-invalid=true]"):
            notes = dom.by_ids(field, attribute(field, "aria-describedby"))
            wrong = [each for each in notes if "error" in attribute(each, "id") + attribute(each, "class")]
            found[name(field)] = " ".join(map(said, wrong))
        return found

    @property
    def links(self) -> dict[str, str]:
        """{address: words}."""
        return {attribute(each, "href"): name(each) for each in self.document.css("a[href]")}

    @property
    def forms(self) -> list[Node]:
        """The forms."""
        return self.document.css("form")

    @property
    def history(self) -> list[tuple[int, str]]:
        """Status and address of every answer so far, redirects too."""
        return [(each.status_code, each.url.raw_path.decode()) for each in self.answers]

    def write(self, field: Node, text: str) -> None:
        """Write into a text field."""
        if step := {"checkbox": "check", "radio": "check", "select": "choose", "file": "attach"}.get(kind(field)):
            raise PageError(f"{name(field)!r} is a {kind(field)}: use .{step}(), not .fill().")
        if field.tag == "textarea":
            field.inner_html = escape(text)
        else:
            field.attrs["value"] = text

    def tick(self, field: Node, *, on: bool = True) -> None:
        """Set a checkbox, or a radio button and none else of its group."""
        group = (kind(field), attribute(field, "name"), owner(field))
        for each in self._document.css("input") if kind(field) == "radio" else []:
            if (kind(each), attribute(each, "name"), owner(each)) == group:
                dom.switch(each, "checked", on=False)
        dom.switch(field, "checked", on=on)

    def select(self, field: Node, chosen: Sequence[Node]) -> None:
        """Choose these options."""
        for each in field.css("option"):
            dom.switch(each, "selected", on=each in chosen)

    def give(self, field: Node, file: File) -> None:
        """Give a file to a field."""
        self.files[field] = [*(self.files.get(field, []) if "multiple" in field.attributes else []), file]

    async def press(self, button: Node) -> None:
        """Press a button."""
        form = owner(button)
        if kind(button) != "submit" or form is None:
            raise PageError(f"The button {name(button)!r} of {self.url} sends no form: without JavaScript it is dead.")
        await self.send(form, button)

    async def follow(self, link: Node) -> None:
        """Follow a link."""
        await self.visit(self.join(attribute(link, "href")))

    async def send(self, form: Node, button: Node | None = None) -> None:
        """Send a form, as HTML does."""
        method, encoding, action = (self.wanted(form, button, each) for each in ("method", "enctype", "action"))
        url, entries = self.join(action), dom.entries(form, button, self.files)
        if method.lower() == "dialog" or encoding == "text/plain":
            raise PageError(f"{self.url} has a form with {method} {encoding}, which this driver does not know.")
        if method.lower() == "post":
            await self.visit(url, dom.encoded(entries, "multipart" in encoding))
        else:
            await self.visit(url.copy_with(query=dom.query(entries).encode()))

    def wanted(self, form: Node, button: Node | None, what: str) -> str:
        """What the form says of method, enctype or action, or its button instead."""
        return (attribute(button, f"form{what}") if button else "") or attribute(form, what)

    async def visit(self, url: httpx2.URL, body: tuple[bytes, str] | None = None, *, typed: bool = False) -> None:
        """Leave for another page."""
        headers = NAVIGATION | ({"Sec-Fetch-Site": "none"} if typed else {})
        answer = await self.ask("POST" if body else "GET", url, headers, body)
        if answer.status_code not in (204, 205):
            self._address, self._scope, self.files = answer.url, "html", {}
            self._document = dom.parse(answer.text, answer.headers.get("content-type", ""))

    async def ask(
        self, method: str, url: httpx2.URL, headers: dict[str, str], body: tuple[bytes, str] | None = None
    ) -> httpx2.Response:
        """Send a request with what a browser adds, follow redirects, and keep every answer."""
        headers = {"Sec-Fetch-Site": "same-origin"} | headers
        if self._address and headers["Sec-Fetch-Site"] != "none":
            headers["Referer"] = str(self._address.copy_with(fragment=None))
        if method != "GET":
            headers["Origin"] = str(self.client.base_url).rstrip("/")
        if body:
            headers["Content-Type"] = body[1]
        request = self.client.build_request(method, url, headers=headers, content=body[0] if body else None)
        for _ in range(20):
            if request.url.netloc != self.client.base_url.netloc:
                raise PageError(f"{self._address} leads to another site: {request.url}")
            if request.method == "GET":
                for each in ("Origin", "Content-Type"):
                    request.headers.pop(each, None)
            self.answers.append(answer := await self.client.send(request, follow_redirects=False))
            if answer.next_request is None:
                return answer
            request = answer.next_request
        raise PageError(f"{url} redirects without end: {self.history[-3:]}")

    def join(self, url: str) -> httpx2.URL:
        """An address as seen from this page."""
        return (self._address or self.client.base_url).join(url)

    def _then(self, step: Step) -> Self:
        self._steps.append(step)
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._run().__await__()

    async def _run(self) -> Self:
        steps, self._steps = self._steps, []
        for step in steps:
            if (waiting := step()) is not None:
                await waiting
        return self

    def _choose(self, label: str, words: Sequence[str]) -> None:
        for group in self._find("fieldset, [role=radiogroup]"):
            if label in (name(group), said(group.css_first("legend"))):
                named = [(name(each), each) for each in group.css("input[type=radio]")]
                return self.tick(self._only("radio button", words[0], named))
        field = self._field(label, "select")
        named = [(said(each), each) for each in field.css("option") if "disabled" not in each.attributes]
        return self.select(field, [self._only("option", each, named) for each in words])

    async def _click(self, words: str) -> None:
        buttons = [each for each in self._find(dom.BUTTONS) if kind(each) in dom.PRESSED]
        named = [(name(each), each) for each in [*self._find("a[href]"), *buttons]]
        found = self._usable("link or button", self._only("link or button", words, named))
        await (self.follow(found) if found.tag == "a" else self.press(found))

    def _button(self, words: str) -> Node:
        buttons = [each for each in self._find(dom.BUTTONS) if kind(each) in dom.PRESSED]
        if words:
            return self._usable("button", self._only("button", words, [(name(each), each) for each in buttons]))
        sending = [each for each in buttons if kind(each) == "submit" and owner(each)]
        if len(sending) != 1:
            raise PageError(f"{self.url} has {len(sending)} buttons that send a form: name one by its words.")
        return self._usable("button", sending[0])

    def _field(self, label: str, *kinds: str) -> Node:
        fields = [each for each in self._find(dom.FIELDS) if kind(each) not in {*dom.PRESSED, "hidden"}]
        found = self._usable("field", self._only("field", label, [(name(each), each) for each in fields]))
        if kinds and kind(found) not in kinds:
            raise PageError(f"The field {label!r} of {self.url} is no {' or '.join(kinds)}: it is a {kind(found)}.")
        return found

    def _usable(self, what: str, node: Node) -> Node:
        if dom.disabled(node) or "readonly" in node.attributes:
            raise PageError(f"The {what} {name(node)!r} of {self.url} is disabled or read-only.")
        return node

    def _find(self, css: str) -> list[Node]:
        scope = self._document.css_first(self._scope)
        if scope is None:
            raise PageError(f"{self.url} has nothing that matches {self._scope!r}.")
        return scope.css(css)

    def _only(self, what: str, words: str, named: list[tuple[str, Node]]) -> Node:
        found = [each for called, each in named if called == words]
        if len({(each.tag, attribute(each, "href") or each.mem_id) for each in found}) == 1:
            return found[0]
        if found:
            raise PageError(f"{self.url} has {len(found)} {what}s {words!r}: say which one by .inside(css) before.")
        near = sorted({called for called, _ in named}, key=lambda called: -SequenceMatcher(None, words, called).ratio())
        raise PageError(f"{self.url} has no {what} {words!r}. It has: {', '.join(map(repr, near)) or 'none'}.")
