"""The pages that links in mails lead to: the same with JavaScript and without, and no token stays in an address."""

import logging

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select

from apps.accounts.models import User
from apps.accounts.testing import PASSWORD, MakeUser, SignIn, links_for
from project.core import AsyncSession
from project.core.testing.jobs import Jobs
from project.core.testing.mailbox import Mailbox
from project.core.testing.pages import Page
from project.core.testing.plugin import Databases, MakeSettings, NewClient, running

pytestmark = pytest.mark.any_database

NEW = "a brand new one"
PAGES = ["/accounts/reset", "/accounts/verify", "/accounts/email/confirm"]


@pytest.fixture
async def links(app: FastAPI, make_user: MakeUser) -> dict[str, str]:
    """A link to each page, for one person."""
    return await links_for(app, await make_user())


async def test_a_forgotten_password_is_replaced_by_way_of_the_mailbox(
    either_page: Page, make_user: MakeUser, jobs: Jobs, mailbox: Mailbox
) -> None:
    await make_user()
    page = await either_page.open("/accounts/login").click("Forgot your password?")
    await page.fill("E-mail", "nobody").submit("Send the link")
    assert page.errors == {"E-mail": "An e-mail address must have an @-sign."}
    await page.fill("E-mail", "ann@example.com").submit("Send the link")
    assert (page.url, page.heading) == ("/accounts/mailbox", "Look into your mailbox")
    await jobs.run()
    await page.open(mailbox.only().link)
    assert (page.url, page.heading) == ("/accounts/reset", "Choose a new password")
    assert "ann@example.com" in page.text
    await page.fill("New password", "short").submit("Set the password")
    assert list(page.errors) == ["New password"]
    await page.fill("New password", NEW).submit("Set the password")
    assert (page.url, page.messages) == (
        "/accounts/login",
        ["Your new password counts from now on. Log in with it."],
    )
    await page.fill("E-mail", "ann@example.com").fill("Password", NEW).submit("Log in")
    assert page.url == "/"


async def test_the_profile_says_whether_the_e_mail_is_confirmed_and_sends_the_link_again(
    either_page: Page, sign_in: SignIn, jobs: Jobs, mailbox: Mailbox
) -> None:
    await sign_in()
    page = await either_page.open("/accounts/profile")
    assert "Not confirmed yet" in page.text
    await page.submit("Send the link again")
    assert page.messages == ["A mail with the link is on its way to ann@example.com."]
    await jobs.run()
    await page.open(mailbox.only().link).submit("Confirm")
    assert (page.url, page.messages) == ("/accounts/profile", ["Your e-mail is confirmed."])
    assert "Not confirmed yet" not in page.text
    assert "Send the link again" not in page.text


async def test_an_e_mail_is_changed_by_way_of_the_new_mailbox(
    either_page: Page, sign_in: SignIn, jobs: Jobs, mailbox: Mailbox
) -> None:
    await sign_in()
    page = await either_page.open("/accounts/profile").click("Change e-mail")
    await page.fill("New e-mail", "new@example.com").fill("Password", "wrong").submit("Send the link")
    assert list(page.errors) == ["Password"]
    await page.fill("Password", PASSWORD).submit("Send the link")
    assert page.messages == ["Look into the mailbox of new@example.com: the link there makes it yours."]
    assert "ann@example.com" in page.text
    await jobs.run()
    (link,) = [mail.link for mail in mailbox.mails if mail.to == "new@example.com"]
    await page.open(link).submit("Use the new e-mail")
    assert (page.url, page.messages) == ("/accounts/profile", ["Your new e-mail counts from now on."])
    assert "new@example.com" in page.text


@pytest.mark.parametrize("page", PAGES)
async def test_a_token_leaves_the_address_at_once(client: httpx2.AsyncClient, links: dict[str, str], page: str) -> None:
    arrived = await client.get(links[page])
    assert (arrived.status_code, arrived.headers["location"]) == (303, page)
    cookie = arrived.headers["set-cookie"].lower()
    assert {"httponly", f"path={page}", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
    shown = await client.get(page)
    assert shown.status_code == 200
    for answer in (arrived, shown):
        assert (answer.headers["referrer-policy"], answer.headers["cache-control"]) == ("no-referrer", "no-store")
        assert "eyJ" not in answer.text
    assert "link" not in (await client.get("/")).request.headers.get("cookie", "")


@pytest.mark.parametrize("page", PAGES)
async def test_looking_at_a_link_changes_nothing(
    client: httpx2.AsyncClient, links: dict[str, str], page: str, db: AsyncSession
) -> None:
    (before,) = [row.model_dump() for row in (await db.exec(select(User))).all()]
    db.expire_all()
    for _ in range(2):
        await client.head(links[page])
        await client.get(links[page], follow_redirects=True)
    assert [row.model_dump() for row in (await db.exec(select(User))).all()] == [before]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("token", ["x.y.z", "a" * 3000, "%0d%0aSet-Cookie:%20a=b", "\u00e9"])
async def test_a_link_that_no_longer_counts_says_so_and_offers_another(
    client: httpx2.AsyncClient, page: str, token: str
) -> None:
    tab = await Page(client).open(f"{page}?token={token}")
    assert (tab.status, tab.heading) == (400, "This link no longer works")
    await tab.click("Send a new link")
    assert tab.heading in {"Forgot your password?", "Confirm your e-mail", "Log in"}


@pytest.mark.parametrize("page", PAGES)
async def test_without_a_link_the_page_leads_to_where_one_is_asked_for(client: httpx2.AsyncClient, page: str) -> None:
    assert (await client.get(page)).status_code == 303
    data = {"new_password": NEW} if page == "/accounts/reset" else {}
    assert (await client.post(page, data=data)).status_code == 400


async def test_a_reset_sent_twice_by_a_double_click_is_answered_twice_alike(
    client: httpx2.AsyncClient, links: dict[str, str]
) -> None:
    page = await Page(client).open(links["/accounts/reset"])
    once = page.document.css("input[name=_once]")[0].attributes["value"]
    sent = [await client.post("/accounts/reset", data={"new_password": NEW, "_once": once}) for _ in range(2)]
    assert [(answer.status_code, answer.headers["location"]) for answer in sent] == [(303, "/accounts/login")] * 2


async def test_over_https_the_token_stays_on_https(
    backend: Databases, make_settings: MakeSettings, new_client: NewClient
) -> None:
    async with backend.copy() as url, running(make_settings(DATABASE_URL=url, SITE_URL="https://127.0.0.1")) as app:
        arrived = await new_client(app).get("/accounts/reset?token=x.y.z")
        assert "secure" in arrived.headers["set-cookie"].lower()


async def test_no_log_line_holds_a_token_a_password_or_a_link(
    app: FastAPI,
    client: httpx2.AsyncClient,
    links: dict[str, str],
    jobs: Jobs,
    mailbox: Mailbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.post("/accounts/forgot", data={"email": "ann@example.com"})
    await jobs.run()
    await client.get(links["/accounts/verify"], follow_redirects=True)
    await Page(client).open(mailbox.only().link).fill("New password", NEW).submit("Set the password")
    await client.get(links["/accounts/email/confirm"], follow_redirects=True)
    said = [str(vars(record)) for record in caplog.records if record.name.startswith(("project", "apps", "uvicorn"))]
    assert any("/accounts/reset" in line for line in said)
    assert not [line for line in said if "eyJ" in line or "token=" in line or NEW in line]
