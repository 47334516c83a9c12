"""The JSON voice of OAuth2, part of /api/v1/accounts: tokens for a password, new ones for old ones, their end."""

import json
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Form, HTTPException, Request, Response, status
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse

from apps.accounts import api_tokens, refresh, services
from apps.accounts.manager import Manager
from apps.accounts.refresh import Pair
from apps.accounts.schemas import OAuthError, PasswordGrant, RefreshGrant, Revocation, Token
from project.core import DB, CurrentRuntime, Invalid
from project.core.web.deps import CurrentLimiter
from project.core.web.problems import Refusal, answers_with
from project.core.web.validation import of_body

S = TypeVar("S", bound=BaseModel)
router = APIRouter()
NO_STORE = {"Cache-Control": "no-store"}
REFUSED: dict[int | str, dict[str, Any]] = {
    status.HTTP_400_BAD_REQUEST: {"model": OAuthError, "description": "A refusal (RFC 6749)."}
}
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
DEAD = "The refresh token was used, is too old or was revoked. Log in again."


class Either:
    """Reads a body that is a form, as OAuth2 has it, or JSON, as the rest of the API has it."""

    def __init__(self, schema: type[BaseModel]) -> None:
        self.schema = schema

    async def __call__(self, request: Request) -> BaseModel:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (FORM, JSON):
            raise HTTPException(status.HTTP_415_UNSUPPORTED_MEDIA_TYPE, f"Send {FORM} or {JSON}.")
        try:
            given = dict(await request.form()) if kind == FORM else json.loads(await request.body())
        except (ValueError, RecursionError):
            raise Invalid("The body is not valid JSON.") from None
        try:
            return self.schema.model_validate(given)
        except ValidationError as error:
            raise RequestValidationError(of_body(error)) from None


def documented(schema: type[BaseModel]) -> dict[str, Any]:
    """What the API docs say of such a body."""
    content = {kind: {"schema": schema.model_json_schema()} for kind in (FORM, JSON)}
    return {"requestBody": {"required": True, "description": schema.__doc__, "content": content}}


async def oauth_error(_: Request, refusal: Refusal) -> Response | None:
    """Refusals of the token endpoints in the words of RFC 6749."""
    if refusal.status not in (400, 422):
        return None
    code = "invalid_grant" if refusal.code == "invalid_credentials" else "invalid_request"
    detail = refusal.errors[0].message if refusal.errors else str(refusal.detail)
    field = refusal.errors[0].field if refusal.errors else ""
    if field == "grant_type":
        code = "unsupported_grant_type"
    return _refused(code, f"{field}: {detail}" if field else detail)


def _refused(code: str, description: str) -> JSONResponse:
    body = OAuthError(error=code, error_description=description)
    return JSONResponse(body.model_dump(), status.HTTP_400_BAD_REQUEST, NO_STORE)


def _given(response: Response, pair: Pair) -> Token:
    response.headers.update(NO_STORE)
    return Token(access_token=pair.access, refresh_token=pair.refresh, expires_in=pair.seconds)


@router.post("/token", responses=REFUSED)
@answers_with(oauth_error)
async def token(
    form: Annotated[PasswordGrant, Form(description="The OAuth2 password form.")],
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    manager: Manager,
    limiter: CurrentLimiter,
) -> Token:
    """Exchange e-mail (as `username`) and password for a short access token and a refresh token."""
    user = await services.authenticate(manager, limiter, request, form.username, form.password.get_secret_value())
    return _given(response, await refresh.open_family(manager.user_db.db, runtime, request, user))


@router.post("/token/refresh", response_model=Token, responses=REFUSED, openapi_extra=documented(RefreshGrant))
@answers_with(oauth_error)
async def refresh_token(
    data: Annotated[RefreshGrant, Depends(Either(RefreshGrant))],
    request: Request,
    response: Response,
    runtime: CurrentRuntime,
    db: DB,
) -> Token | JSONResponse:
    """Exchange a refresh token for new tokens, once; one that was used before ends all that came of it."""
    pair = await refresh.rotate(db, runtime, request, data.refresh_token)
    # Returned and not raised: what the reuse of a token ends must be committed.
    return _refused("invalid_grant", DEAD) if pair is None else _given(response, pair)


@router.post("/token/revoke", status_code=status.HTTP_200_OK, openapi_extra=documented(Revocation))
@answers_with(oauth_error)
async def revoke_token(
    data: Annotated[Revocation, Depends(Either(Revocation))], request: Request, runtime: CurrentRuntime, db: DB
) -> dict[str, str]:
    """End a refresh token and its access tokens, or an API token; the answer is the same for any text (RFC 7009)."""
    if data.token.startswith(api_tokens.PREFIX):
        await api_tokens.revoke_found(db, data.token, request)
    else:
        await refresh.revoke(db, runtime, request, data.token)
    return {}
