"""The inbox of development: a mail is read there, its link leads to the site, and its scripts do nothing."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from fastapi import FastAPI
from playwright.async_api import expect

from project.core.mail import Mailer, Message
from project.core.mail.senders import Files
from tests.browser.visitors import EVERY, Look, Visit, of_look
from tests.core.axe import broken, is_too_wide

TEMPLATE = """{% extends "core/mail/base.html" %}
{% block subject %}Confirm your address{% endblock %}
{% block body %}
{{ mail.heading("Confirm your address") }}
{{ mail.paragraph("One step is left.") }}
{{ mail.button("Confirm", link) }}
{{ mail.small("The link works for 24 hours.") }}
{% endblock %}
"""


@pytest.fixture
def mailer(site: FastAPI, tmp_path: Path) -> Iterator[Mailer]:
    """The site's, with a folder of this test's own."""
    mailer: Mailer = site.state.runtime.mail
    usual, mailer.sender = mailer.sender, Files(tmp_path)
    yield mailer
    mailer.sender = usual


def only(folder: Path) -> str:
    """The name of the one mail there."""
    (path,) = folder.iterdir()
    return path.stem


@of_look(EVERY)
async def test_a_link_in_a_mail_leads_to_the_site(
    visit: Visit, look: Look, site_url: str, mailer: Mailer, tmp_path: Path
) -> None:
    link = f"{site_url}/accounts/login?token={'x' * 120}"
    html = mailer._html.from_string(TEMPLATE).render(link=link)
    await mailer.send(Message("ann@example.com", "Confirm your address", f"{link}\n", html, uuid4()))
    visitor = await visit(look)
    page = visitor.page
    await page.goto("/_dev/mail")
    await visitor.press(page.get_by_role("link", name="Confirm your address"))
    mail = page.frame_locator("iframe")
    await expect(mail.get_by_role("heading", name="Confirm your address")).to_be_visible()
    async with page.context.expect_page() as opened:
        await visitor.press(mail.get_by_role("link", name="Confirm", exact=True))
    await expect((await opened.value).get_by_role("heading", name="Log in")).to_be_visible()
    assert (await opened.value).url == link


async def test_a_script_in_a_mail_does_nothing(visit: Visit, mailer: Mailer) -> None:
    html = "<p id='here'>Hi</p><script>parent.document.body.remove(); here.textContent = 'Gone'</script>"
    await mailer.send(Message("ann@example.com", "Hi", "Hi\n", html, uuid4()))
    visitor = await visit()
    await visitor.page.goto("/_dev/mail")
    await visitor.page.get_by_role("link", name="Hi").click()
    await expect(visitor.page.frame_locator("iframe").locator("#here")).to_have_text("Hi")
    assert len(visitor.trouble) == 1
    assert "Blocked script execution" in visitor.trouble.pop()


async def test_a_mail_and_its_page_are_accessible(visit: Visit, mailer: Mailer, tmp_path: Path) -> None:
    await mailer.send(mailer.render("core/mail/test.html", "ann@example.com", {}, uuid4()))
    name = f"/_dev/mail/{only(tmp_path)}"
    page = (await visit(bypass_csp=True)).page
    for path in ("/_dev/mail", name, f"{name}/html"):
        await page.goto(path)
        assert await broken(page, path) == []
        assert not await is_too_wide(page)
