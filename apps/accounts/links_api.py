"""The JSON voice of links in mails, part of /api/v1/accounts."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, status

from apps.accounts import links
from apps.accounts.identity import InPerson
from apps.accounts.manager import Manager
from apps.accounts.schemas import EmailChange, EmailOnly, EmailVerify, LinkToken, MailSent, PasswordReset
from project.core.web.deps import CurrentLimiter

router = APIRouter()
Whose = Annotated[EmailOnly, Body(description="Whose mailbox.")]
ByLink = Annotated[LinkToken, Body(description="The token of the link.")]


@router.post("/verify/request", status_code=status.HTTP_202_ACCEPTED)
async def request_verify(data: Whose, request: Request, manager: Manager, limiter: CurrentLimiter) -> MailSent:
    """Ask for the link that verifies an e-mail; the answer is the same for every address."""
    await links.ask_for_verification(manager, limiter, request, data.email)
    return MailSent()


@router.post("/verify/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_verify(
    data: Annotated[EmailVerify, Body(description="The token of the link, and the password of the sign-up.")],
    request: Request,
    manager: Manager,
    limiter: CurrentLimiter,
) -> None:
    """Verify an e-mail by the link's token, once; where this opens the account, the sign-up's password is needed."""
    await links.verify(manager, limiter, request, data.token, data.password)


@router.post("/password/forgot", status_code=status.HTTP_202_ACCEPTED)
async def forgot_password(data: Whose, request: Request, manager: Manager, limiter: CurrentLimiter) -> MailSent:
    """Ask for the link to a new password; the answer is the same for every address."""
    await links.ask_for_reset(manager, limiter, request, data.email)
    return MailSent()


@router.post("/password/reset", status_code=status.HTTP_204_NO_CONTENT)
async def reset_password(
    data: Annotated[PasswordReset, Body(description="The token of the link, and the new password.")],
    request: Request,
    manager: Manager,
    limiter: CurrentLimiter,
) -> None:
    """Set a new password by the link's token, once; every session ends, and the e-mail is verified by it."""
    await links.reset_password(manager, limiter, request, data.token, data.new_password.get_secret_value())


@router.post("/email/change", status_code=status.HTTP_202_ACCEPTED)
async def change_email(
    data: Annotated[EmailChange, Body(description="The new e-mail, and your password.")],
    request: Request,
    manager: Manager,
    limiter: CurrentLimiter,
    user: InPerson,
) -> MailSent:
    """Ask for another e-mail; it counts once the link sent there is used."""
    await links.ask_for_email(manager, limiter, request, user, data)
    return MailSent()


@router.post("/email/confirm", status_code=status.HTTP_204_NO_CONTENT)
async def confirm_email(data: ByLink, request: Request, manager: Manager, limiter: CurrentLimiter) -> None:
    """Make the new e-mail the account's by the link's token, once; the former address is told."""
    await links.change_email(manager, limiter, request, data.token)
