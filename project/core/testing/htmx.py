"""The same page as htmx 2.0.10 drives it: requests by attributes, parts swapped in, messages for failures.

What this driver does not know of htmx is a PageError, never passed over. Confirmations are answered with yes;
`load` triggers fire by themselves, the others by `blur` and `fire`.
"""

import json
import re
from html import escape
from typing import Any, Self

import httpx2
from selectolax.lexbor import LexborNode as Node

from project.core.testing import dom, hx
from project.core.testing.dom import Entries, File, attribute, kind, owner
from project.core.testing.hx import VERBS, inherited
from project.core.testing.pages import Page, PageError

RELATIVE = {"next", "previous", "global", "document", "window", "root", "host", "inherit"}
FETCHED = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*", "HX-Request": "true"}
OF_HTMX = [  # its defaults for `responseHandling`
    {"code": "204", "swap": False},
    {"code": "[23]..", "swap": True},
    {"code": "[45]..", "swap": False, "error": True},
]


class HtmxPage(Page):
    """One tab of a browser in which htmx and the site's ui.js run."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        super().__init__(client)
        self.events: list[str] = []
        self._loaded: set[Node] = set()

    def blur(self, label: str) -> Self:
        """Leave the field with this label after a change: its own requests for input, change and blur are made."""
        return self._then(lambda: self.leave(self._field(label)))

    def fire(self, event: str, css: str = "body") -> Self:
        """Let an event happen at the first element that matches."""
        return self._then(lambda: self._fire(event, self._one(css)))

    async def leave(self, field: Node) -> None:
        """Fire what a browser fires when a changed field is left."""
        for event in ("input", "keyup", "change", "blur", "focusout"):
            await self._fire(event, field, bubbles=event != "blur")

    async def visit(self, url: httpx2.URL, body: tuple[bytes, str] | None = None, *, typed: bool = False) -> None:
        """Leave for another page, and let its `load` triggers fire."""
        await super().visit(url, body, typed=typed)
        await self._load()

    async def press(self, button: Node) -> None:
        """Press a button: its own request, else its form's."""
        fired = await self._fire("click", button)
        if button not in fired and (owner(button) or not fired):
            await super().press(button)

    async def follow(self, link: Node) -> None:
        """Follow a link: its own request, boosted, or as HTML does."""
        href = attribute(link, "href")
        if link in await self._fire("click", link):
            return
        if hx.boosted(link) and not href.startswith("#") and attribute(link, "target") in ("", "_self"):
            await self._request(link, "get", href, boosted=True)
        else:
            await super().follow(link)

    async def send(self, form: Node, button: Node | None = None) -> None:
        """Send a form: its own request, boosted, or as HTML does."""
        if form in await self._fire("submit", form, button):
            return None
        method = attribute(form, "method").lower() or "get"
        if not hx.boosted(form) or method == "dialog":
            return await super().send(form, button)
        url = self.join(attribute(form, "action"))
        url = url.copy_with(query=None) if method == "get" else url
        return await self._request(form, method, str(url), button, boosted=True)

    async def _fire(self, event: str, node: Node, button: Node | None = None, *, bubbles: bool = True) -> list[Node]:
        """Make the requests that wait for this event here, and return the elements that made them."""
        path = [node, *dom.ancestors(node)] if bubbles else [node]
        everywhere = [each for each in self._document.css("[hx-trigger]") if ("body", event) in hx.triggers(each)]
        waiting = [each for each in path if ("", event) in hx.triggers(each)] + everywhere
        for each in waiting:
            for verb in VERBS:
                if f"hx-{verb}" in each.attributes:
                    await self._request(each, verb, attribute(each, f"hx-{verb}"), button)
        return waiting

    async def _load(self) -> None:
        fresh = [each for each in self._document.css("[hx-trigger]") if ("", "load") in hx.triggers(each)]
        for each in fresh:
            if each not in self._loaded:
                self._loaded.add(each)
                await self._fire("load", each, bubbles=False)

    async def _request(
        self, node: Node, verb: str, path: str, button: Node | None = None, *, boosted: bool = False
    ) -> None:
        hx.refuse_unknown(node)
        if button:
            path = attribute(button, "formaction") or path
            verb = attribute(button, "formmethod").lower() or verb
        target = self._target(node, boosted=boosted)
        headers = {
            "HX-Trigger": attribute(node, "id"),
            "HX-Trigger-Name": attribute(node, "name"),
            "HX-Target": attribute(target, "id"),
            "HX-Boosted": "true" if boosted else "",
        }
        own = {key: str(value) for key, value in hx.values(node, "hx-headers").items()}
        entries = [each for each in self._entries(node, verb, button) if each[1] != File()]
        url, body = self.join(path), None
        if verb in ("get", "delete"):
            both = "&".join(filter(None, [url.query.decode(), dom.query(entries, by_script=True)]))
            url = url.copy_with(query=both.encode() or None)
        else:
            multipart = "multipart/form-data" in (inherited(node, "hx-encoding"), attribute(node, "enctype"))
            body = dom.encoded(entries, multipart, by_script=True)
        answer = await self._fetch(verb, url, {key: text for key, text in headers.items() if text} | own, body)
        await self._answered(node, target, answer, boosted=boosted)

    async def _fetch(
        self, verb: str, url: httpx2.URL, headers: dict[str, str], body: tuple[bytes, str] | None = None
    ) -> httpx2.Response:
        return await self.ask(verb.upper(), url, FETCHED | {"HX-Current-URL": str(self._address)} | headers, body)

    def _target(self, node: Node, *, boosted: bool = False) -> Node:
        if css := inherited(node, "hx-target"):
            return next(iter(self._named(node, "hx-target")), None) or self._one(css, node)
        return self._one("body") if boosted else node

    def _entries(self, node: Node, verb: str, button: Node | None) -> Entries:
        form = node if node.tag == "form" else owner(node) if verb != "get" else None
        sure = dom.entries(form, button, self.files) if form else []
        if node.tag == "button" or (node.tag == "input" and kind(node) == "submit"):
            sure += dom.sent(node, self.files)
        fields = [node] if node.tag in ("input", "select", "textarea") and kind(node) not in dom.PRESSED else []
        for each in self._named(node, "hx-include"):
            fields += dom.controls(each) if each.tag == "form" else each.css(dom.FIELDS)
        more: Entries = []
        for each in dict.fromkeys(fields):
            if each.tag != "button" and kind(each) not in dom.PRESSED:
                more += dom.sent(each, self.files)
        vals: Entries = [
            (key, each if isinstance(each, str) else json.dumps(each, separators=(",", ":")))
            for key, value in hx.values(node, "hx-vals").items()
            for each in (value if isinstance(value, list) else [value])
        ]
        if (params := inherited(node, "hx-params") or "*") not in ("*", "none"):
            raise PageError(f"hx-params is {params!r}, which this driver does not know.")
        return hx.override(hx.override(more, sure), vals) if params == "*" else []

    async def _answered(
        self, node: Node, target: Node, answer: httpx2.Response, *, boosted: bool = False, **asked: str
    ) -> None:
        """What htmx does with an answer; `asked` is what an HX-Location says of swap and push."""
        said = answer.headers
        await self._heard(node, said.get("hx-trigger", ""))
        if "hx-location" in said:
            return await self._relocate(said["hx-location"])
        if "hx-redirect" in said or said.get("hx-refresh") == "true":
            return await self.visit(self.join(said.get("hx-redirect", "")))
        handling = self._handling(answer.status_code)
        if handling.get("swap"):
            target = self._one(said["hx-retarget"], node) if "hx-retarget" in said else target
            style = said.get("hx-reswap") or asked.get("swap") or inherited(node, "hx-swap") or "innerHTML"
            address = self._pushed(node, answer) or asked.get("push") or str(boosted).lower()
            self._swap(style, target, answer.text, said.get("hx-reselect") or inherited(node, "hx-select"))
            if address != "false":
                self._address = answer.url if address == "true" else self.join(address)
            await self._load()
        await self._heard(node, said.get("hx-trigger-after-swap", ""))
        await self._heard(node, said.get("hx-trigger-after-settle", ""))
        return self._complain(answer) if handling.get("error") else None

    def _pushed(self, node: Node, answer: httpx2.Response) -> str | None:
        """The address that headers, else attributes, put into the bar; "true" is the answer's own."""
        keys = ("hx-push-url", "hx-replace-url")
        wanted = [inherited(node, each) for each in keys]
        of_node = [each for each in wanted if each != "false"]
        return next(filter(None, [*(answer.headers.get(each) for each in keys), *of_node]), None)

    async def _heard(self, node: Node, text: str) -> None:
        """Let the events of a header happen."""
        for event in json.loads(text) if text.startswith("{") else filter(None, text.split(",")):
            self.events.append(event.strip())
            await self._fire(event.strip(), node)

    async def _relocate(self, text: str) -> None:
        asked = json.loads(text) if text.startswith("{") else {"path": text}
        if unknown := asked.keys() - {"path", "target", "swap", "push"}:
            raise PageError(f"HX-Location brings {sorted(unknown)}, which this driver does not know.")
        body = self._one("body")
        target = self._one(asked.get("target", "body"))
        named = {"HX-Target": attribute(target, "id")} if attribute(target, "id") else {}
        answer = await self._fetch("GET", self.join(asked["path"]), named)
        await self._answered(body, target, answer, push=asked.get("push", "true"), swap=asked.get("swap", ""))

    def _handling(self, status: int) -> dict[str, Any]:
        meta = self._document.css_first("meta[name=htmx-config]")
        config = json.loads(attribute(meta, "content")) if meta else {}
        rules: list[dict[str, Any]] = config.get("responseHandling", OF_HTMX)
        return next((rule for rule in rules if re.search(rule["code"], str(status))), {})

    def _complain(self, answer: httpx2.Response) -> None:
        """Show a failure as ui.js does: the words of the error page, in a copy of the site's own flash."""
        template, region = self._document.css_first("#trouble"), self._document.css_first("#flashes")
        if template is None or region is None:
            raise PageError(f"{self.url} has no place to say that {answer.url} answered {answer.status_code}.")
        message = dom.said(dom.parse(answer.text).css_first("#trouble-message"))
        region.inner_html = template.template_fragments()[0].inner_html or ""
        for text in region.css("p"):
            text.inner_html = escape(message or attribute(template, "data-unknown"))

    def _swap(self, how: str, target: Node, text: str, select: str | None) -> None:
        style, _, modifiers = how.partition(" ")
        part, title = hx.parse_part(text)
        for holder in [part, *part.template_fragments()]:
            aside = holder.css("[hx-swap-oob]")
            for each in aside:
                self._swap_aside(each)
            if aside and holder != part and holder.parent:
                holder.parent.remove()
        shown = self._document.css_first("title")
        if title and shown and "ignoreTitle:true" not in modifiers:
            shown.inner_html = title
        kept = {attribute(each, "id"): files for each, files in self.files.items() if "hx-preserve" in each.attributes}
        hx.put(style, target, part.css(select) if select else dom.children(part), modifiers)
        self.files |= {
            each: kept[attribute(each, "id")] for each in self._document.css("[id]") if attribute(each, "id") in kept
        }

    def _swap_aside(self, node: Node) -> None:
        """Swap one element of an answer out of band."""
        how, _, css = attribute(node, "hx-swap-oob").partition(":")
        del node.attrs["hx-swap-oob"]
        how = "outerHTML" if how == "true" else how
        for target in self._document.css(css or f"[id='{attribute(node, 'id')}']"):
            hx.put(how, target, dom.children(node) if how in hx.INSIDE else [node])
        node.remove()

    def _one(self, css: str, node: Node | None = None) -> Node:
        found = self._all(css, node)
        if not found:
            raise PageError(f"{self.url} has nothing that matches {css!r}.")
        return found[0]

    def _all(self, css: str, node: Node | None = None) -> list[Node]:
        """What an extended selector of htmx finds, seen from an element."""
        found: list[Node] = []
        plain = []
        for each in filter(None, map(str.strip, css.split(","))):
            word, _, rest = each.partition(" ")
            if word in RELATIVE or (node is None and word in ("closest", "find", "this")):
                raise PageError(f"{self.url} uses the selector {css!r}, which this driver does not know.")
            if node and word == "closest":
                found += [up for up in [node, *dom.ancestors(node)] if dom.matches(up, rest)][:1]
            elif node and word == "find":
                found += [down for down in node.css(rest) if down != node][:1]
            elif node and each == "this":
                found.append(node)
            else:
                plain.append(each)
        return found + (self._document.css(", ".join(plain)) if plain else [])

    def _named(self, node: Node, key: str) -> list[Node]:
        """The elements that an inherited hx-target or hx-include names; `this` is the one that says so."""
        if inherited(node, key) == "this":
            return [each for each in [node, *dom.ancestors(node)] if key in each.attributes][:1]
        return self._all(inherited(node, key) or "", node)
