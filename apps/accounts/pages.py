"""The HTML voice, under /accounts."""

from typing import Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request, Response

from apps.accounts import links_pages, security_pages, services
from apps.accounts.identity import CurrentUser, InPerson, OptionalUser, clear_cookie, cookie_name, set_cookie
from apps.accounts.manager import Manager
from apps.accounts.schemas import AccountDelete, LoginForm, MeUpdate, PasswordChange, SignupForm
from project.core import DB, CurrentRuntime, Form, Submitted, on_invalid, redirect, render
from project.core.identity import principal
from project.core.web.deps import CurrentLimiter
from project.core.web.redirects import safe_next

router = APIRouter()
router.include_router(links_pages.router)
router.include_router(security_pages.router)
NEXT, NEXT_SECONDS = "next", 24 * 3600


def remember_next(request: Request, response: Response, url: str) -> None:
    """Let the log-in after the link in the mail lead where the person wanted to go; nowhere forgets it."""
    path, secure = str(request.app.url_path_for("accounts:login")), request.app.state.runtime.settings.secure
    wanted = quote(safe_next(url, ""))
    if wanted or NEXT in request.cookies:
        seconds = NEXT_SECONDS if wanted else 0
        response.set_cookie(NEXT, wanted, seconds, path=path, secure=secure, httponly=True, samesite="lax")


def remembered_next(request: Request) -> str:
    """Where the person wanted to go before they signed up, or nothing."""
    return safe_next(unquote(request.cookies.get(NEXT, "")), "")


@router.get("/signup", name="accounts:signup")
async def signup_form(request: Request, user: OptionalUser, next: str = "") -> Response:
    """The sign-up page."""
    if user is not None:
        return redirect(safe_next(next))
    return render(request, "accounts/signup.html", {"form": Form(SignupForm, {"next": safe_next(next, "")})})


@router.post("/signup")
@on_invalid("accounts/signup.html")
async def signup(
    request: Request,
    data: Submitted[SignupForm],
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
) -> Response:
    """Open the account and log in; or send everybody to their mailbox, where the link there opens it."""
    user = await services.sign_up(manager, limiter, request, data)
    if user is None:
        response = redirect("accounts:mailbox")
        remember_next(request, response, data.next)
        return response
    former = request.cookies.get(cookie_name(runtime))
    token, seconds = await services.open_browser_session(manager, request, user, former=former)
    response = redirect(safe_next(data.next), flash="Welcome! Your account is ready.")
    set_cookie(response, runtime, token, seconds)
    return response


@router.get("/login", name="accounts:login")
async def login_form(request: Request, user: OptionalUser, next: str = "") -> Response:
    """The log-in page."""
    if user is not None:
        return redirect(safe_next(next))
    wanted = safe_next(next, "") or remembered_next(request)
    return render(request, "accounts/login.html", {"form": Form(LoginForm, {"next": wanted})})


@router.post("/login")
@on_invalid("accounts/login.html")
async def login(
    request: Request,
    data: Submitted[LoginForm],
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
) -> Response:
    """Log in and go where the person wanted to go."""
    user = await services.authenticate(manager, limiter, request, data.email, data.password.get_secret_value())
    former = request.cookies.get(cookie_name(runtime))
    token, seconds = await services.open_browser_session(manager, request, user, remember=data.remember, former=former)
    response = redirect(safe_next(data.next))
    set_cookie(response, runtime, token, seconds)
    remember_next(request, response, "")
    return response


@router.post("/logout", name="accounts:logout")
async def logout(request: Request, runtime: CurrentRuntime, db: DB, user: OptionalUser) -> Response:
    """End this session."""
    if user is not None:
        await services.log_out(db, user, request)
    response = redirect("home", flash="You are logged out.", kind="info")
    clear_cookie(response, runtime)
    return response


@router.get("/profile", name="accounts:profile")
async def profile(request: Request, db: DB, user: CurrentUser) -> Response:
    """One's own account."""
    account = await services.get_user(db, user, user.id)
    return render(request, "accounts/profile.html", {"form": Form(MeUpdate, account), "account": account})


async def account_again(request: Request) -> dict[str, Any]:
    """What the profile page needs beside its form."""
    user = await principal(request)
    assert user is not None
    async with request.app.state.runtime.unit_of_work(write=False) as db:
        return {"account": await services.get_user(db, user, user.id)}


@router.post("/profile")
@on_invalid("accounts/profile.html", context=account_again)
async def update_profile(data: Submitted[MeUpdate], db: DB, user: CurrentUser) -> Response:
    """Save the changes."""
    await services.update_me(db, user, data)
    return redirect("accounts:profile", flash="Saved.")


@router.get("/password", name="accounts:password")
async def password_form(request: Request, user: InPerson) -> Response:
    """The page for a new password."""
    return render(request, "accounts/password.html", {"form": Form(PasswordChange)})


@router.post("/password")
@on_invalid("accounts/password.html")
async def change_password(
    request: Request,
    data: Submitted[PasswordChange],
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
    user: InPerson,
) -> Response:
    """Set the new password; every other session ends."""
    token = await services.change_password(manager, limiter, request, user, data)
    response = redirect(
        "accounts:profile", flash="Your password is changed. Other devices are logged out, API tokens revoked."
    )
    if token:
        set_cookie(response, runtime, token, None)
    return response


@router.get("/delete", name="accounts:delete")
async def delete_form(request: Request, user: InPerson) -> Response:
    """The page that asks before deleting an account."""
    return render(request, "accounts/delete.html", {"form": Form(AccountDelete)})


@router.post("/delete")
@on_invalid("accounts/delete.html")
async def delete(
    request: Request,
    data: Submitted[AccountDelete],
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
    user: InPerson,
) -> Response:
    """Delete the account."""
    await services.delete_me(manager, limiter, request, user, data)
    response = redirect("home", flash="Your account is deleted.", kind="info")
    clear_cookie(response, runtime)
    return response
