"""The docs at /_dev/docs: the Markdown of project/docs, then a reference that is written from the code."""

import asyncio
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import Request
from starlette.responses import Response

from project.core.conf import ROOT
from project.core.errors import NotFound
from project.core.runtime import Runtime
from project.core.web.deps import CurrentRuntime
from project.core.web.dev.docs_reference import REFERENCE
from project.core.web.pages import render

FOLDER, PREFIX, INDEX = ROOT / "project" / "docs", "/_dev/docs", "index"
NAME = re.compile(r"[a-z0-9-]{1,60}", re.A)
LINKED = re.compile(r"\]\(([a-z0-9-]+)\.md\)")
router = APIRouter(prefix=PREFIX)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the docs: its name in the address, its title, its HTML, its headings as (id, words)."""

    name: str
    title: str
    html: str
    headings: list[tuple[str, str]]

    @property
    def url(self) -> str:
        """Where it stands."""
        return PREFIX if self.name == INDEX else f"{PREFIX}/{self.name}"


@router.get("", name="dev:docs")
@router.get("/{name:path}")
async def show(request: Request, runtime: CurrentRuntime, name: str = INDEX) -> Response:
    """One page, with the contents of all beside it; raises NotFound."""
    return render(request, "core/dev/docs.html", await asyncio.to_thread(_context, runtime, name))


def pages() -> list[str]:
    """The names of all pages in their order: the index, what it links to, any other, the reference."""
    linked = LINKED.findall((FOLDER / f"{INDEX}.md").read_text("utf-8"))
    others = sorted(path.stem for path in FOLDER.glob("*.md"))
    return [*dict.fromkeys([INDEX, *linked, *others]), *REFERENCE]


def source(runtime: Runtime, name: str) -> str:
    """The Markdown of a page; raises NotFound."""
    if name in REFERENCE:
        return REFERENCE[name][1](runtime)
    path = FOLDER / f"{name}.md"
    if not NAME.fullmatch(name) or not path.is_file():
        raise NotFound
    return path.read_text("utf-8")


def read(name: str, text: str) -> Page:
    """The page that this Markdown makes. HTML in it is shown as text."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens, headings, title = markdown.parse(text), list[tuple[str, str]](), name
    for opening, inside in pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(each.content for each in inside.children or ())
            opening.attrSet("id", re.sub(r"\W+", "-", words.lower()).strip("-"))
            if opening.tag == "h1":
                title = words
            elif opening.tag == "h2":
                headings.append((str(opening.attrGet("id")), words))
        for link in inside.children or ():
            if link.type == "link_open":
                link.attrSet("href", _address(str(link.attrGet("href"))))
    markdown.add_render_rule("fence", _code)
    markdown.add_render_rule("table_open", _open_table)
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    return Page(name, title, markdown.renderer.render(tokens, markdown.options, {}), headings)


def _context(runtime: Runtime, name: str) -> dict[str, Any]:
    page, names = read(name, source(runtime, name)), pages()
    contents = [page if each == name else read(each, _headline(each)) for each in names]
    place = names.index(name)
    return {
        "page": page,
        "contents": contents,
        "before": contents[place - 1] if place else None,
        "after": contents[place + 1] if place + 1 < len(contents) else None,
    }


def _headline(name: str) -> str:
    if name in REFERENCE:
        return f"# {REFERENCE[name][0]}"
    with (FOLDER / f"{name}.md").open(encoding="utf-8") as file:
        return file.readline()


def _address(link: str) -> str:
    """A link to another page of the docs as it is served; others as they are."""
    page, dot, part = link.partition(".md")
    if not dot or not NAME.fullmatch(page):
        return link
    return (PREFIX if page == INDEX else f"{PREFIX}/{quote(page)}") + part


def _code(self: Any, tokens: list[Token], place: int, options: Any, env: Any) -> str:
    shown: str = self.fence(tokens, place, options, env)
    return shown.replace("<pre>", '<pre tabindex="0">', 1)  # it scrolls, so the keyboard must reach it


def _open_table(*_: Any) -> str:
    return '<div class="docs-table" tabindex="0"><table>\n'
