"""Mail about accounts, where each job makes the token it sends so that none is ever in a row; and the sweep."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from fastapi_users.exceptions import UserAlreadyVerified, UserInactive

from apps.accounts import events, sessions
from apps.accounts.conf import AccountsSettings
from apps.accounts.manager import NOBODY, UserManager, state_of
from apps.accounts.models import User
from project.core import AsyncSession, Running, Runtime
from project.core.jobs.declaring import cron
from project.core.jobs.mailing import deliver, mail_job


class Postman(UserManager):
    """The manager of a job: what a flow hands to its hook goes out as a mail, and the job ends with it.

    Args:
        db: a unit of work that only reads; it is given back before anything is sent.
        running: the job.
        template: the mail's name.
    """

    def __init__(self, db: AsyncSession, running: Running, template: str) -> None:
        super().__init__(db, running.runtime)
        self.running, self.template, self.silent = running, template, False

    async def run(self, flow: Callable[[User], Awaitable[None]], user: User | None, email: str) -> None:
        """Run a flow for this person.

        Where there is nobody to write to, the same is done for nobody: a process that runs jobs beside requests
        must not be busier after one e-mail than after another.
        """
        if user is not None:
            with suppress(UserInactive, UserAlreadyVerified):
                return await flow(user)
        self.silent = True
        return await flow(User(email=email, hashed_password=NOBODY))

    async def on_after_request_verify(self, user: User, token: str, request: Request | None = None) -> None:
        await self.send(user, "accounts:verify", token, user.email)

    async def on_after_forgot_password(self, user: User, token: str, request: Request | None = None) -> None:
        await self.send(user, "accounts:reset", token, user.email)

    async def send(self, user: User, page: str, token: str, to: str, **more: str) -> None:
        """Mail a link to that page; the token stands in the query, which no log keeps.

        A name is not in it: whoever signs up with a stranger's address would write to them by it.
        """
        link = f"{self.running.runtime.url(page)}?{urlencode({'token': token})}"
        may_log_in = user.is_verified or not self.confirms
        context: dict[str, Any] = {"email": to, "link": link, "may_log_in": may_log_in} | more
        template = f"mail/accounts/{self.template}.html"
        await self.user_db.db.release()
        if self.silent:
            self.running.runtime.mail.render(template, to, context, self.running.id).as_mime("nobody@example.com", "")
        else:
            await deliver(self.running, template, to, context)


@mail_job
async def send_welcome(running: Running, email: str, user_id: UUID | None = None) -> None:
    """Welcome whoever has signed up, with the link that verifies the e-mail; tell of an account there was before."""
    async with running.runtime.unit_of_work(write=False) as db:
        if user_id:
            postman = Postman(db, running, "welcome")
            await postman.run(postman.request_verify, await postman.user_db.get(user_id), email)
        else:
            postman = Postman(db, running, "taken")
            await postman.run(postman.forgot_password, await postman.user_db.get_by_email(email), email)


@mail_job
async def send_verification(running: Running, email: str) -> None:
    """Send the link that verifies an e-mail, if there is an account that waits for it."""
    async with running.runtime.unit_of_work(write=False) as db:
        postman = Postman(db, running, "verify")
        await postman.run(postman.request_verify, await postman.user_db.get_by_email(email), email)


@mail_job
async def send_reset(running: Running, email: str) -> None:
    """Send the link for a new password, if there is an account."""
    async with running.runtime.unit_of_work(write=False) as db:
        postman = Postman(db, running, "reset")
        await postman.run(postman.forgot_password, await postman.user_db.get_by_email(email), email)


@mail_job
async def send_email_change(running: Running, user_id: UUID, email: str, state: str) -> None:
    """Send the link that makes an address the account's to that address, or tell it of the account it has.

    Nothing is sent when the account is no longer in the state in which it was asked for.
    """
    async with running.runtime.unit_of_work(write=False) as db:
        postman = Postman(db, running, "email_change")
        user, other = await postman.user_db.get(user_id), await postman.user_db.get_by_email(email)
        if user is None or not user.is_active or state_of(user) != state:
            return
        if other is None:
            await postman.send(user, "accounts:confirm_email", postman.email_token(user, email), email)
        else:
            postman.template = "taken"
            await postman.run(postman.forgot_password, other, email)


@mail_job
async def send_email_asked(running: Running, user_id: UUID, email: str, to: str) -> None:
    """Tell the present address that another one was asked for, with a link that stops it: to a new password.

    It counts as long as the link that it stops. An address that is no longer the account's gets none.
    """
    async with running.runtime.unit_of_work(write=False) as db:
        postman = Postman(db, running, "email_asked")
        user = await postman.user_db.get(user_id)
        if user is None or user.email != to:
            return
        seconds = postman.verification_token_lifetime_seconds
        token = postman.token(user, postman.reset_password_token_audience, seconds)
        await postman.send(user, "accounts:reset", token, to, email=email)


async def forget(db: AsyncSession, runtime: Runtime) -> dict[str, int]:
    """Delete sessions and tokens that count no more, and what happened long ago."""
    conf = runtime.conf(AccountsSettings)
    return await sessions.forget(db, conf) | await events.forget(db, conf)


@cron(minute=23, unique=True)
async def sweep(running: Running) -> None:
    """The same, once an hour."""
    async with running.unit_of_work() as db:
        await forget(db, running.runtime)
