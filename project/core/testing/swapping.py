"""How htmx puts a part of an answer into the page (makeFragment and swapWithStyle of htmx 2.0.10)."""

import re

from selectolax.lexbor import LexborNode as Node

from project.core.testing import dom

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


def put(how: str, target: Node, nodes: list[Node]) -> None:
    """Change the document at the target."""
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
    for area in [each for node in nodes if node.is_element_node for each in node.css("textarea")]:
        area.inner_html = "\n" + (area.inner_html or "")  # a parser takes a first line end away
    holder = parent.parser.create_node(str(parent.tag))
    holder.inner_html = "".join(each.html or "" for each in nodes)
    return dom.children(holder)
