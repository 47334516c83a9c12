"""Every form of this site does the same with htmx and without JavaScript."""

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import PASSWORD, add_user, links_for, sign_in_as
from project.core.testing.crawler import Crawler
from project.core.testing.plugin import NewClient
from tests import walks

VALUES = {
    "/accounts/login E-mail": "ann@example.com",
    "/accounts/login Password": PASSWORD,
    "/accounts/delete Password": PASSWORD,
    "/accounts/email Password": PASSWORD,
    "Current password": PASSWORD,
}


@pytest.mark.any_database
async def test_every_form_does_the_same_with_htmx_and_without(shared_app: FastAPI, new_client: NewClient) -> None:
    async def nobody(_: httpx2.AsyncClient) -> None:
        await add_user(shared_app)

    async def member(client: httpx2.AsyncClient) -> None:
        await sign_in_as(client, shared_app, await add_user(shared_app))

    async def settled(client: httpx2.AsyncClient) -> None:
        """Somebody who finds what the apps tell of."""
        user, other = await add_user(shared_app), await add_user(shared_app, "bob@example.com")
        await sign_in_as(client, shared_app, user)
        async with shared_app.state.runtime.unit_of_work() as db:
            for settle in walks.SETTLED:
                await settle(db, user, other)

    async def staff(client: httpx2.AsyncClient) -> None:
        await sign_in_as(client, shared_app, await add_user(shared_app, is_staff=True))

    async def reader(client: httpx2.AsyncClient) -> None:
        """Whoever has opened the links in their mails."""
        for link in (await links_for(shared_app, await add_user(shared_app))).values():
            await client.get(link)

    people = {"nobody": nobody, "member": member, "settled": settled, "staff": staff, "reader": reader}
    report = await Crawler(shared_app, new_client, people, VALUES).run()
    assert not report.problems, "\n".join(report.problems)
    assert {
        "/accounts/signup Sign up",
        "/accounts/profile Save",
        "/accounts/delete Delete my account",
        "/accounts/email Send the link",
        "/accounts/reset Set the password",
        "/accounts/verify Confirm",
        "/accounts/email/confirm Use the new e-mail",
        *walks.FORMS,
    } <= report.forms
