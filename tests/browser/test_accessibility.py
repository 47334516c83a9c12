"""WCAG 2.2 AA by axe-core: every page there is and every form it refuses, in both themes and widths."""

import pytest
from fastapi import FastAPI
from playwright.async_api import Page

from apps.accounts.testing import add_user, confirm_sign_ups, links_for
from project.core.management import browsing
from tests.browser.visitors import Visit
from tests.core.axe import NOT_OURS, broken, is_too_wide, run_axe


async def test_every_page_keeps_wcag_2_2_aa_and_fits_a_narrow_phone(visit: Visit, site: FastAPI) -> None:
    trouble: list[str] = []
    seen: set[str] = set()
    for who, paths in {"": browsing.REFUSAL_PATHS, "member": [], "staff": []}.items():
        visitor = await visit(who=who)
        visitor.provokes = set(range(400, 600))
        for path in [*browsing.page_paths(site), *paths]:
            if path == "/" or path not in seen:  # for somebody else only the frame differs, and / shows that
                trouble += await look_at(visitor.page, path, seen)
    visitor = await visit()
    visitor.provokes = {400, 422}
    for path, link in (await links_for(site, await add_user(site, "reader@example.com"))).items():
        await visitor.page.goto(link)
        trouble += await look_at(visitor.page, path, seen)
        await visitor.page.goto(f"{path}?token=used")
        trouble += await broken(visitor.page, f"{path} by a dead link")
    assert not trouble, "\n".join(trouble)
    forms = ("signup", "login", "profile", "password", "delete", "forgot", "verify/request", "email", "reset")
    refused = {f"/accounts/{name} refused" for name in forms}
    assert refused | {"/", "/api/docs", "/admin/", "/admin/user/list", *browsing.REFUSAL_PATHS} <= seen


async def test_the_page_that_opens_an_account_does_so_too(
    visit: Visit, site: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirm_sign_ups(site, monkeypatch)
    visitor = await visit()
    visitor.provokes = {422}
    seen: set[str] = set()
    await visitor.page.goto((await links_for(site, await add_user(site, "opener@example.com")))["/accounts/verify"])
    trouble = await look_at(visitor.page, "/accounts/verify", seen)
    assert not trouble, "\n".join(trouble)
    assert "/accounts/verify refused" in seen


async def look_at(page: Page, path: str, seen: set[str]) -> list[str]:
    """What is wrong with a page and with the form it refuses; notes what there was to see."""
    if not await browsing.show(page, path):
        return []
    if path == "/api/docs":
        await page.locator(".opblock").first.wait_for()
    seen.add(path)
    trouble = await broken(page, path)
    if not path.startswith(tuple(NOT_OURS)) and await is_too_wide(page):
        trouble.append(f"{path} is wider than 320 pixels")
    if await browsing.show_refused(page):
        seen.add(f"{path} refused")
        trouble += await broken(page, f"{path} refused")
    return trouble


async def test_axe_would_find_what_it_is_there_for(visit: Visit) -> None:
    visitor = await visit()
    page = visitor.page
    await page.goto("/accounts/login")
    assert not await run_axe(page)
    await page.evaluate("""() => {
      document.querySelector("label").remove();
      document.querySelector("h1").style.color = "rgb(200, 200, 200)";
      const small = ["a", "b"].map(text => Object.assign(document.createElement("button"), {textContent: text}));
      for (const button of small) button.style.cssText = "all: unset; cursor: pointer; font-size: 8px";
      document.querySelector("main").append(...small);
    }""")
    found = {each["rule"] for each in await run_axe(page)}
    assert {"label", "color-contrast", "target-size"} <= found
