"""What a browser knows of a document: the words on it, what names a field, what a form sends (HTML, 4.10)."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from selectolax.lexbor import LexborHTMLParser, LexborNode as Node

FIELDS, BUTTONS = "input, select, textarea", "input, button"
PRESSED = {"submit", "image", "button", "reset"}
UNSEEN = {"script", "style", "template", "svg", "select", "textarea", "datalist"}
INLINE = {"a", "abbr", "b", "code", "em", "i", "kbd", "label", "mark", "s", "small", "span", "strong", "sub", "sup"}


@dataclass(frozen=True)
class File:
    """A file as a form sends it; without a name it is a field left empty."""

    name: str = ""
    content: bytes = b""
    type: str = "application/octet-stream"


Entries = list[tuple[str, str | File]]


def attribute(node: Node, name: str) -> str:
    """The attribute's text, or nothing."""
    return node.attributes.get(name) or ""


def switch(node: Node, name: str, on: object) -> None:
    """Give the element an attribute without a value, or take it away."""
    if on:
        node.attrs[name] = None
    elif name in node.attributes:
        del node.attrs[name]


def children(node: Node) -> list[Node]:
    """Elements and texts."""
    return list(node.iter(include_text=True))


def ancestors(node: Node) -> Iterator[Node]:
    """Parent, grandparent, and so on."""
    while (parent := node.parent) is not None and parent.is_element_node:
        yield (node := parent)


def matches(node: Node, css: str) -> bool:
    """Whether this element itself matches."""
    return node in node.parser.css(css)


def by_ids(node: Node, ids: str) -> list[Node]:
    """The elements that an attribute names by their ids."""
    known = {attribute(each, "id"): each for each in node.parser.css("[id]")}
    return [known[each] for each in ids.split() if each in known]


def said(node: Node | None, without: set[str] = UNSEEN) -> str:
    """The words people read in an element."""
    return " ".join("".join(_words(node, without)).split()) if node else ""


def _words(node: Node, without: set[str]) -> Iterator[str]:
    for child in children(node):
        if child.is_text_node:
            yield child.text_content or ""
        elif child.tag not in without and "hidden" not in child.attributes:
            space = "" if child.tag in INLINE else " "
            yield space
            yield from _words(child, without)
            yield space


def kind(control: Node) -> str:
    """select, textarea, or the type of an input or a button."""
    usual = {"input": "text", "button": "submit"}
    return attribute(control, "type").lower() or usual[control.tag] if control.tag in usual else str(control.tag)


def owner(control: Node) -> Node | None:
    """The form a control belongs to: by its form attribute, else the one around it."""
    if "form" in control.attributes:
        return next(iter(by_ids(control, attribute(control, "form"))), None)
    return next((each for each in ancestors(control) if each.tag == "form"), None)


def controls(form: Node) -> list[Node]:
    """The form's fields and buttons, in order."""
    return [each for each in form.parser.css(f"{FIELDS}, button") if owner(each) == form]


def name(control: Node) -> str:
    """What people call a field, a button or a link: by its label, else its own words."""
    about = [each for each in control.parser.css("label[for]") if attribute(each, "for") == attribute(control, "id")]
    around = [each for each in ancestors(control) if each.tag == "label"]
    labels = by_ids(control, attribute(control, "aria-labelledby")) or about or around
    spoken = attribute(control, "aria-label") or " ".join(map(said, labels))
    if control.tag == "input" and kind(control) in PRESSED:
        return spoken or attribute(control, "value") or kind(control).capitalize()
    return spoken or (said(control) if control.tag in ("a", "button") else "")


def disabled(control: Node) -> bool:
    """Whether the control, or a fieldset around it, is disabled."""
    inner, off = control, "disabled" in control.attributes
    for each in ancestors(control):
        first = each.css_first("legend") if each.tag == "fieldset" and "disabled" in each.attributes else None
        off = off or (each.tag == "fieldset" and "disabled" in each.attributes and inner != first)
        inner = each
    return off


def options(select: Node) -> list[Node]:
    """The options that are chosen; where nobody chose, a single select takes its first."""
    possible = [each for each in select.css("option") if "disabled" not in each.attributes]
    chosen = [each for each in possible if "selected" in each.attributes]
    if "multiple" in select.attributes:
        return chosen
    return chosen[-1:] or ([] if int(attribute(select, "size") or 1) > 1 else possible[:1])


def value(control: Node) -> str:
    """What one control would send."""
    if control.tag == "textarea":
        return control.text(deep=True)
    if control.tag == "option" and "value" not in control.attributes:
        return said(control)
    usual = "on" if kind(control) in ("checkbox", "radio") and "value" not in control.attributes else ""
    return attribute(control, "value") or usual


def sent(control: Node, files: dict[Node, list[File]]) -> Entries:
    """What one control adds to its form."""
    key, what = attribute(control, "name"), kind(control)
    unticked = what in ("checkbox", "radio") and "checked" not in control.attributes
    if not key or unticked or disabled(control) or any(each.tag == "datalist" for each in ancestors(control)):
        return []
    if what == "select":
        return [(key, value(each)) for each in options(control)]
    if what == "file":
        return [(key, each) for each in files.get(control) or [File()]]
    return [(key, value(control).replace("\r\n", "\n").replace("\r", "\n"))]


def entries(form: Node, button: Node | None, files: dict[Node, list[File]]) -> Entries:
    """What a form sends when `button` is pressed."""
    pressed = [each for each in controls(form) if each == button or kind(each) not in PRESSED]
    return [entry for each in pressed for entry in sent(each, files)]


def encoded(sent: Entries, multipart: object, *, by_script: bool = False) -> tuple[bytes, str]:
    """The body of a request and its content type."""
    if not multipart:
        return query(sent, by_script=by_script).encode(), "application/x-www-form-urlencoded"
    boundary, body = secrets.token_hex(16), b""
    for key, what in sent:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{_quoted(key)}"'
        if isinstance(what, File):
            head += f'; filename="{_quoted(what.name)}"\r\nContent-Type: {what.type}'
        body += (
            f"{head}\r\n\r\n".encode() + (what.content if isinstance(what, File) else _crlf(what).encode()) + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def query(sent: Entries, *, by_script: bool = False) -> str:
    """The entries as an address or a plain body carries them; a script spoils files and keeps line ends."""
    texts = [(key, _crlf(what) if isinstance(what, str) else what.name) for key, what in sent]
    if by_script:
        texts = [(key, what if isinstance(what, str) else "[object File]") for key, what in sent]
    return urlencode(texts)


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def parse(text: str, content_type: str = "text/html") -> LexborHTMLParser:
    """The document that a browser makes of an answer."""
    return LexborHTMLParser(text if "html" in content_type else f"<pre>{escape(text)}</pre>")
