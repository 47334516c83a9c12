"""The JSON voice, under /api/v1/accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query, Request, Response, status
from starlette.responses import JSONResponse

from apps.accounts import links_api, security_api, services, tokens_api
from apps.accounts.identity import CurrentAccount, CurrentUser, InPerson, clear_cookie, cookie_name, set_cookie
from apps.accounts.manager import Manager
from apps.accounts.schemas import (
    AccountDelete,
    Login,
    MailSent,
    MeUpdate,
    PasswordChange,
    UserCreate,
    UserRead,
)
from project.core import DB, CurrentRuntime, Limit, Offset, Page, Principal, needs
from project.core.web.deps import CurrentLimiter

router = APIRouter()
UserId = Annotated[UUID, Path(description="The person's id.")]


@router.post(
    "/users",
    status_code=status.HTTP_201_CREATED,
    response_model=UserRead,
    responses={status.HTTP_202_ACCEPTED: {"model": MailSent, "description": "The link in a mail opens the account."}},
)
async def create_user(
    data: Annotated[UserCreate, Body(description="The new account.")],
    request: Request,
    response: Response,
    manager: Manager,
    limiter: CurrentLimiter,
) -> UserRead | JSONResponse:
    """Sign up: 201, or 202 for every e-mail where the link in a mail opens the account (ACCOUNTS_SIGNUP=confirm)."""
    user = await services.sign_up(manager, limiter, request, data)
    if user is None:
        return JSONResponse(MailSent().model_dump(), status.HTTP_202_ACCEPTED)
    response.headers["Location"] = str(request.app.url_path_for("get_user", user_id=user.id))
    return UserRead.model_validate(user)


@router.get("/users")
async def list_users(
    request: Request,
    response: Response,
    db: DB,
    _: Annotated[Principal, needs("accounts.user.view")],
    limit: Limit = 10,
    offset: Offset = 0,
    search: Annotated[str, Query(max_length=100, description="Part of an e-mail or a name.")] = "",
    active: Annotated[bool | None, Query(description="Only those who may log in, or only those who may not.")] = None,
    staff: Annotated[bool | None, Query(description="Only staff, or only the others.")] = None,
    sort: Annotated[
        str, Query(max_length=30, description="email, name or created_at; a leading minus reverses.")
    ] = "-created_at",
) -> Page[UserRead]:
    """List people, for those who may see them all (accounts.user.view)."""
    found = await services.list_users(
        db, search=search, active=active, staff=staff, sort=sort, limit=limit, offset=offset
    )
    return Page[UserRead].of(found, UserRead.model_validate, request, response)


@router.get("/users/{user_id}")
async def get_user(user_id: UserId, db: DB, user: CurrentUser) -> UserRead:
    """Show a person: yourself, or anybody where you may see them all."""
    return UserRead.model_validate(await services.get_user(db, user, user_id))


@router.get("/me")
async def get_me(account: CurrentAccount) -> UserRead:
    """Show your account."""
    return account


@router.patch("/me")
async def update_me(
    data: Annotated[MeUpdate, Body(description="What changes; what is left out stays.")],
    db: DB,
    user: CurrentUser,
) -> UserRead:
    """Change your account."""
    return UserRead.model_validate(await services.update_me(db, user, data))


@router.delete("/me", status_code=status.HTTP_204_NO_CONTENT)
async def delete_me(
    data: Annotated[AccountDelete, Body(description="Your password.")],
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
    user: InPerson,
) -> None:
    """Delete your account."""
    await services.delete_me(manager, limiter, request, user, data)
    clear_cookie(response, runtime)


@router.post("/login")
async def login(
    data: Annotated[Login, Body(description="E-mail and password.")],
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
) -> UserRead:
    """Log in and receive the session cookie."""
    user = await services.authenticate(manager, limiter, request, data.email, data.password.get_secret_value())
    former = request.cookies.get(cookie_name(runtime))
    token, seconds = await services.open_browser_session(manager, request, user, remember=data.remember, former=former)
    set_cookie(response, runtime, token, seconds)
    return UserRead.model_validate(user)


@router.post("/logout", status_code=status.HTTP_204_NO_CONTENT)
async def logout(request: Request, response: Response, runtime: CurrentRuntime, db: DB, user: InPerson) -> None:
    """Log out: the session ends on the server, so its cookie or tokens stop counting at once."""
    await services.log_out(db, user, request)
    clear_cookie(response, runtime)


@router.post("/password/change", status_code=status.HTTP_204_NO_CONTENT)
async def change_password(
    data: Annotated[PasswordChange, Body(description="The present and the new password.")],
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
    user: InPerson,
) -> None:
    """Change your password; every other session of yours and every API token ends, and a cookie gets a new value."""
    token = await services.change_password(manager, limiter, request, user, data)
    if token:
        set_cookie(response, runtime, token, None)


for each in (links_api, security_api, tokens_api):  # last: routes are asked in their order
    router.include_router(each.router)
