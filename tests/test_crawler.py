"""Every form of this site does the same with htmx and without JavaScript."""

import httpx2
from fastapi import FastAPI

from apps.accounts.manager import UserManager
from apps.accounts.testing import PASSWORD, add_user, sign_in_as
from project.core.testing.crawler import Crawler
from project.core.testing.plugin import NewClient

VALUES = {
    "/accounts/login E-mail": "ann@example.com",
    "/accounts/login Password": PASSWORD,
    "/accounts/delete Password": PASSWORD,
    "/accounts/email Password": PASSWORD,
    "Current password": PASSWORD,
}


async def test_every_form_does_the_same_with_htmx_and_without(shared_app: FastAPI, new_client: NewClient) -> None:
    async def nobody(_: httpx2.AsyncClient) -> None:
        await add_user(shared_app)

    async def member(client: httpx2.AsyncClient) -> None:
        await sign_in_as(client, shared_app, await add_user(shared_app))

    async def staff(client: httpx2.AsyncClient) -> None:
        await sign_in_as(client, shared_app, await add_user(shared_app, is_staff=True))

    async def reader(client: httpx2.AsyncClient) -> None:
        """Whoever has opened the links in their mails."""
        user = await add_user(shared_app)
        async with shared_app.state.runtime.unit_of_work(write=False) as db:
            manager = UserManager(db, shared_app.state.runtime)
        tokens = {
            "reset": manager.token(user, manager.reset_password_token_audience, 60),
            "verify": manager.token(user, manager.verification_token_audience, 60),
            "email/confirm": manager.email_token(user, "crawler@example.com"),
        }
        for page, token in tokens.items():
            await client.get(f"/accounts/{page}", params={"token": token})

    people = {"nobody": nobody, "member": member, "staff": staff, "reader": reader}
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
    } <= report.forms
