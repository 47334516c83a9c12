"""The HTML voice of links in mails, part of /accounts: ask for one, arrive by one, press its button.

A link's token leaves the address at once, for a cookie of that page alone. Arriving changes nothing: programs
that look through mail open links, too.
"""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel

from apps.accounts import links
from apps.accounts.conf import confirms
from apps.accounts.identity import InPerson, OptionalUser
from apps.accounts.manager import Manager
from apps.accounts.schemas import Confirmation, EmailChange, EmailOnly, Opening, PasswordResetForm
from project.core import Form, Submitted, on_invalid, redirect, render
from project.core.web.deps import CurrentLimiter
from project.core.web.forms.reading import FormReader

router = APIRouter()
COOKIE, SECONDS = "link", 900
PRIVATE = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
TOKEN = re.compile(r"[\w.-]{1,2000}", re.A)
LinkQuery = Annotated[str, Query(description="The token, from the link.")]


class VerificationReader(FormReader):
    """Reads the form that the page shows: with a password where verifying opens the account."""

    async def __call__(self, request: Request) -> BaseModel:
        return await FormReader(Opening if confirms(request.app.state.runtime) else Confirmation)(request)


Verification = Annotated[Confirmation, Depends(VerificationReader(Confirmation))]


async def _arrive(
    request: Request, manager: Manager, token: str, audience: str, page: str, form: type[BaseModel], otherwise: str
) -> Response:
    if TOKEN.fullmatch(token):
        response = redirect(request.url.path)
        secure = request.app.state.runtime.settings.secure
        response.set_cookie(COOKIE, token, SECONDS, path=request.url.path, secure=secure, httponly=True, samesite="lax")
        response.headers.update(PRIVATE)
        return response
    kept = request.cookies.get(COOKIE, "")
    if not kept and not token:
        return redirect(otherwise)
    found = await manager.holder(audience, kept)
    if found is None:
        return render(request, "accounts/dead_link.html", {"otherwise": otherwise}, status=400, headers=PRIVATE)
    shown = {"form": Form(form), "email": found[0].email, "new_email": found[1].get("email")}
    return render(request, page, shown, headers=PRIVATE)


@router.get("/mailbox", name="accounts:mailbox")
async def mailbox(request: Request) -> Response:
    """What follows whenever a mail was asked for, whether or not there is one."""
    return render(request, "accounts/mailbox.html")


@router.get("/forgot", name="accounts:forgot")
async def forgot_form(request: Request) -> Response:
    """The page that asks whose password is forgotten."""
    return render(request, "accounts/forgot.html", {"form": Form(EmailOnly)})


@router.post("/forgot")
@on_invalid("accounts/forgot.html")
async def forgot(request: Request, data: Submitted[EmailOnly], manager: Manager, limiter: CurrentLimiter) -> Response:
    """Mail the link, if there is such an account."""
    await links.ask_for_reset(manager, limiter, request, data.email)
    return redirect("accounts:mailbox")


@router.get("/reset", name="accounts:reset")
async def reset_form(request: Request, manager: Manager, token: LinkQuery = "") -> Response:
    """The page for a new password, reached by a link."""
    audience = manager.reset_password_token_audience
    return await _arrive(request, manager, token, audience, "accounts/reset.html", PasswordResetForm, "accounts:forgot")


@router.post("/reset")
@on_invalid("accounts/reset.html")
async def reset(
    request: Request, data: Submitted[PasswordResetForm], manager: Manager, limiter: CurrentLimiter
) -> Response:
    """Set the new password; every session ends."""
    token, password = request.cookies.get(COOKIE, ""), data.new_password.get_secret_value()
    await links.reset_password(manager, limiter, request, token, password)
    return redirect("accounts:login", flash="Your new password counts from now on. Log in with it.")


@router.get("/verify", name="accounts:verify")
async def verify_form(request: Request, manager: Manager, user: OptionalUser, token: LinkQuery = "") -> Response:
    """The page with the button that verifies an e-mail, reached by a link."""
    audience, form = manager.verification_token_audience, Opening if manager.confirms else Confirmation
    return await _arrive(request, manager, token, audience, "accounts/verify.html", form, "accounts:request_verify")


@router.post("/verify")
@on_invalid("accounts/verify.html")
async def verify(
    request: Request, data: Verification, manager: Manager, limiter: CurrentLimiter, user: OptionalUser
) -> Response:
    """Verify the e-mail, with the sign-up's password where that opens the account."""
    password = data.password if isinstance(data, Opening) else None
    await links.verify(manager, limiter, request, request.cookies.get(COOKIE, ""), password)
    words = "Your e-mail is confirmed." if user else "Your e-mail is confirmed. Log in to begin."
    return redirect("accounts:profile" if user else "accounts:login", flash=words)


@router.get("/verify/request", name="accounts:request_verify")
async def request_verify_form(request: Request) -> Response:
    """The page that asks where to send the link again."""
    return render(request, "accounts/request_verify.html", {"form": Form(EmailOnly)})


@router.post("/verify/request")
@on_invalid("accounts/request_verify.html")
async def request_verify(
    request: Request, data: Submitted[EmailOnly], manager: Manager, limiter: CurrentLimiter
) -> Response:
    """Mail the link, if there is such an account and it waits for it."""
    await links.ask_for_verification(manager, limiter, request, data.email)
    return redirect("accounts:mailbox")


@router.post("/verify/resend", name="accounts:resend")
async def resend(request: Request, manager: Manager, limiter: CurrentLimiter, user: InPerson) -> Response:
    """Mail the link to one's own address again."""
    await links.ask_for_verification(manager, limiter, request, user.email)
    return redirect("accounts:profile", flash=f"A mail with the link is on its way to {user.email}.", kind="info")


@router.get("/email", name="accounts:email")
async def email_form(request: Request, user: InPerson) -> Response:
    """The page for another e-mail."""
    return render(request, "accounts/email.html", {"form": Form(EmailChange)})


@router.post("/email")
@on_invalid("accounts/email.html")
async def change_email(
    request: Request, data: Submitted[EmailChange], manager: Manager, limiter: CurrentLimiter, user: InPerson
) -> Response:
    """Mail the link to the new address."""
    await links.ask_for_email(manager, limiter, request, user, data)
    words = f"Look into the mailbox of {data.new_email}: the link there makes it yours."
    return redirect("accounts:profile", flash=words, kind="info")


@router.get("/email/confirm", name="accounts:confirm_email")
async def confirm_email_form(request: Request, manager: Manager, user: OptionalUser, token: LinkQuery = "") -> Response:
    """The page with the button that makes the new e-mail count, reached by a link."""
    audience = manager.email_token_audience
    return await _arrive(
        request, manager, token, audience, "accounts/confirm_email.html", Confirmation, "accounts:email"
    )


@router.post("/email/confirm")
@on_invalid("accounts/confirm_email.html")
async def confirm_email(
    request: Request, data: Submitted[Confirmation], manager: Manager, limiter: CurrentLimiter, user: OptionalUser
) -> Response:
    """Make the new e-mail count."""
    await links.change_email(manager, limiter, request, request.cookies.get(COOKIE, ""))
    return redirect("accounts:profile" if user else "accounts:login", flash="Your new e-mail counts from now on.")
