"""The rules of htmx 2.0.10 that need no page: what its attributes say, and how a part of an answer is swapped in."""

import json
import re
from typing import Any

from selectolax.lexbor import LexborNode as Node

from project.core.testing import dom
from project.core.testing.dom import Entries, attribute, kind
from project.core.testing.pages import PageError

VERBS = ("get", "post", "put", "patch", "delete")
KNOWN = """
    hx-get hx-post hx-put hx-patch hx-delete hx-target hx-swap hx-swap-oob hx-select hx-include hx-vals hx-headers
    hx-boost hx-push-url hx-replace-url hx-trigger hx-disinherit hx-encoding hx-confirm hx-indicator hx-disabled-elt
    hx-sync hx-validate hx-preserve hx-request hx-params
"""
MODIFIERS = re.compile(r"(swap|settle|show|scroll|focus-scroll|transition|ignoreTitle):\S+")
INSIDE = ("innerHTML", "beforeend", "afterbegin")
STYLES = (*INSIDE, "outerHTML", "beforebegin", "afterend", "delete", "none")
HEAD = re.compile(r"<head(\s[^>]*)?>[\s\S]*?</head>", re.I)
WHOLE = re.compile(r"(\s|<!doctype[^>]*>|<!--[\s\S]*?-->)*<(html|body)\b", re.I)


def parse_part(text: str) -> tuple[Node, str]:
    """What an answer brings to be swapped in, and a title, if it has one."""
    bare = HEAD.sub("", text, count=1)
    if WHOLE.match(bare):
        document = dom.parse(text)
        titles = document.css("title")
        assert document.body
        return document.body, "".join(each.inner_html or "" for each in titles[:1])
    part = dom.parse(f"<template>{bare}</template>").css("template")[0].template_fragments()[0]
    title = ""
    for each in dom.children(part):
        if each.tag == "title":
            title = each.inner_html or ""
            each.remove()
    return part, title


def put(how: str, target: Node, nodes: list[Node], modifiers: str = "") -> None:
    """Change the document at the target; scrolling and timing, which `modifiers` ask for, are left out."""
    strange = [each for each in modifiers.split() if not MODIFIERS.fullmatch(each)]
    if how not in STYLES or strange:
        raise PageError(f"hx-swap is {' '.join([how, *strange])!r}, which this driver does not know.")
    if how == "outerHTML" and target.tag == "body":
        how = "innerHTML"
    around = target if how in INSIDE else target.parent
    if around is None or how == "none":
        return
    new = [] if how == "delete" else _adopted(nodes, around)
    if how == "innerHTML":
        target.inner_html = ""
    first = target.first_child if how == "afterbegin" else target
    for each in reversed(new) if how == "afterend" else new:
        if how == "afterend":
            target.insert_after(each, move=True)
        elif how in ("innerHTML", "beforeend") or first is None:
            target.insert_child(each, move=True)
        else:
            first.insert_before(each, move=True)
    if how in ("outerHTML", "delete"):
        target.remove()


def _adopted(nodes: list[Node], parent: Node) -> list[Node]:
    """The nodes, made anew in the parent's document: copied between documents, a template would lose its content."""
    for area in [each for node in nodes if node.is_element_node for each in node.css("textarea, pre")]:
        area.inner_html = "\n" + (area.inner_html or "")  # a parser takes a first line end away
    holder = parent.parser.create_node(str(parent.tag))
    holder.inner_html = "".join(each.html or "" for each in nodes)
    return dom.children(holder)


def refuse_unknown(node: Node) -> None:
    """Raise PageError for an attribute here or above that this driver does not know."""
    for each in [node, *dom.ancestors(node)]:
        if unknown := {key for key in each.attributes if key.startswith(("hx-", "data-hx-"))} - {*KNOWN.split()}:
            raise PageError(f"<{each.tag}> has {', '.join(sorted(unknown))}, which this driver does not know.")


def inherited(node: Node, attribute_name: str) -> str | None:
    """An attribute of the element or its nearest ancestor that has one, as htmx inherits."""
    for each in [node, *dom.ancestors(node)]:
        barred = attribute(each, "hx-disinherit").split()
        if each != node and ("*" in barred or attribute_name in barred):
            return None
        if found := attribute(each, attribute_name):
            return None if found == "unset" else found
    return None


def boosted(node: Node) -> bool:
    """Whether hx-boost reaches a link or a form that has no request of its own."""
    return inherited(node, "hx-boost") == "true" and not any(f"hx-{verb}" in node.attributes for verb in VERBS)


def triggers(node: Node) -> set[tuple[str, str]]:
    """(where, event) an element with a request of its own listens for; `where` is empty for itself, or body."""
    if not any(f"hx-{verb}" in node.attributes for verb in VERBS):
        return set()
    specs = attribute(node, "hx-trigger")
    if not specs:
        field = node.tag in ("input", "select", "textarea") and kind(node) not in ("button", "submit")
        return {("", "submit" if node.tag == "form" else "change" if field else "click")}
    found = set()
    for spec in re.sub(r"from:find \w+", "", specs).split(","):  # what happens in an element happens to it, too
        event, *modifiers = spec.split()
        origin = next((each[5:] for each in modifiers if each.startswith("from:")), "")
        if "[" in event or origin not in ("", "body", "document", "window"):
            raise PageError(f"hx-trigger is {specs!r}, which this driver does not know.")
        found.add(("body" if origin else "", event))
    return found


def values(node: Node, key: str) -> dict[str, Any]:
    """hx-vals or hx-headers: the nearest ancestor's values count first."""
    found: dict[str, Any] = {}
    for each in [node, *dom.ancestors(node)]:
        text = attribute(each, key).strip()
        if text == "unset":
            break
        if text.startswith(("js:", "javascript:")):
            raise PageError(f"{key} is {text!r}: the site's policy forbids to run that.")
        further = json.loads(text if text.startswith("{") else f"{{{text}}}")
        found |= {each: value for each, value in further.items() if each not in found}
    return found


def override(entries: Entries, stronger: Entries) -> Entries:
    """The entries, with the stronger ones in place of those of the same names."""
    keys = {key for key, _ in stronger}
    return [each for each in entries if each[0] not in keys] + stronger
