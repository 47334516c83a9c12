"""Live reload in a real browser: a style is swapped in place, everything else reloads the page."""

from pathlib import Path

import httpx2
from playwright.async_api import Browser, expect

from tests.core.conftest import SECONDS, serving, until_it_answers

HELLO = """() => new Promise((said) => {
    const source = new EventSource("/_dev/reload");
    source.addEventListener("hello", () => { source.close(); said(); });
})"""


async def test_the_browser_follows_what_is_edited(
    browser: Browser, site_copy: Path, site_environment: dict[str, str]
) -> None:
    with serving(site_copy, site_environment) as (url, _):
        async with httpx2.AsyncClient(base_url=url) as client:
            await until_it_answers(client)
        page = await browser.new_page()
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda line: trouble.append(line.text) if line.type == "error" else None)
        async with page.expect_response("**/_dev/reload"):
            await page.goto(f"{url}/accounts/login")
        await page.evaluate(HELLO)  # a second stream, so the page's own has said where it stands
        marked = page.locator("body[data-marked]")
        await page.evaluate("document.body.dataset.marked = ''")

        style = site_copy / "static" / "css" / "site.css"
        style.write_text(style.read_text() + "\nbody { outline-color: rgb(1, 2, 3); }\n")
        await expect(marked).to_have_css("outline-color", "rgb(1, 2, 3)")
        await expect(page.locator("link[href*='site.css']")).to_have_count(1)

        template = site_copy / "templates" / "accounts" / "login.html"
        template.write_text(template.read_text().replace("{% block content %}", "{% block content %}<i>edited</i>"))
        await expect(page.get_by_text("edited")).to_be_visible()
        await expect(marked).to_have_count(0)

        whole = template.read_text()
        template.write_text(whole.replace("<i>edited</i>", "{{ nobody.name }}"))
        await expect(page.get_by_role("heading", name="UndefinedError")).to_be_visible()
        await expect(page.locator("details[open] .code-here")).to_contain_text("{{ nobody.name }}")
        template.write_text(whole)
        await expect(page.get_by_text("edited")).to_be_visible()

        await page.evaluate("document.body.dataset.marked = ''")
        code = site_copy / "project" / "pages.py"
        code.write_text(code.read_text() + "\n# edited\n")
        await expect(marked).to_have_count(0, timeout=SECONDS * 1000)
        await page.close()
        assert [line for line in trouble if "status of 500" not in line] == []  # of the template that was broken
