"""What comes in and what goes out: the same classes read JSON bodies and forms, and write the docs."""

import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import BaseModel, BeforeValidator, EmailStr, Field, SecretStr

from apps.accounts.passwords import LONGEST, SHORTEST, UNREAD
from project.core import ReadSchema


def normalise_email(email: str) -> str:
    """The one spelling of a mailbox, for every door: compatibility forms folded, lower case, the domain in letters."""
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", email).strip().casefold())
    try:
        return validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        return text


def _normalised(value: Any) -> Any:
    if isinstance(value, str) and "<" in value:
        raise ValueError("Give the address only, without a name.")
    if isinstance(value, str) and UNREAD in value:
        raise ValueError("Give the address in letters that can be read.")
    return normalise_email(value) if isinstance(value, str) else value


Email = Annotated[
    EmailStr,
    BeforeValidator(_normalised),
    Field(title="E-mail", max_length=254, json_schema_extra={"autocomplete": "email"}),
]
NewPassword = Annotated[
    SecretStr,
    Field(
        title="Password",
        description=f"At least {SHORTEST} characters. A few words in a row are good.",
        min_length=SHORTEST,
        max_length=LONGEST,
        json_schema_extra={"autocomplete": "new-password"},
    ),
]
Password = Annotated[
    SecretStr,
    Field(title="Password", min_length=1, max_length=LONGEST, json_schema_extra={"autocomplete": "current-password"}),
]
LinkCode = Annotated[str, Field(max_length=2000, description="The token in the link of a mail.")]
Name = Annotated[
    str,
    Field(
        title="Name",
        description="What others see.",
        max_length=100,
        json_schema_extra={"autocomplete": "name"},
    ),
]


Next = Annotated[str, Field(max_length=2000, json_schema_extra={"widget": "hidden"})]


class UserCreate(BaseModel):
    """A sign-up."""

    email: Email
    password: NewPassword
    name: Name = ""


class SignupForm(UserCreate):
    """The sign-up page's form: the same, and where to go afterwards."""

    next: Next = ""


class MailSent(BaseModel):
    """The same for everybody, whatever the mail says or whether there is one."""

    detail: str = Field(
        default="Look into your mailbox: if the address is right, a mail is on its way.",
        description="What people read.",
    )


class UserRead(ReadSchema):
    """A person, as the API shows them."""

    id: UUID = Field(description="The person's id.")
    email: str = Field(description="The e-mail they log in with.")
    name: str = Field(description="What others see; may be empty.")
    is_active: bool = Field(description="Whether they may log in.")
    is_verified: bool = Field(description="Whether they have shown that the e-mail is theirs.")
    is_staff: bool = Field(description="Whether they may use the admin.")
    created_at: datetime = Field(description="When they signed up.")


class MeUpdate(BaseModel):
    """Changes to one's own account: what is left out stays, null empties."""

    name: Name | None = Field(default=None, title="Name", description="What others see.")


class Login(BaseModel):
    """A log-in by e-mail and password, answered with a cookie."""

    email: str = Field(
        title="E-mail", max_length=254, json_schema_extra={"format": "email", "autocomplete": "username"}
    )
    password: Password
    remember: bool = Field(default=False, title="Keep me logged in")


class LoginForm(Login):
    """The log-in page's form: the same, and where to go afterwards."""

    next: Next = ""


class PasswordChange(BaseModel):
    """A new password; the present one proves that it is you."""

    current_password: Password = Field(title="Current password")
    new_password: NewPassword = Field(title="New password")


class EmailOnly(BaseModel):
    """Whose mailbox a link is sent to."""

    email: Email


class LinkToken(BaseModel):
    """What a link in a mail proves itself with."""

    token: LinkCode


class EmailVerify(LinkToken):
    """The same, and what proves that it was you who signed up."""

    password: SecretStr | None = Field(
        default=None,
        max_length=LONGEST,
        description="The one chosen at sign-up, needed where the link opens the account.",
    )


class PasswordReset(BaseModel):
    """A new password, by the token of a link."""

    token: LinkCode
    new_password: NewPassword = Field(title="New password")


class PasswordResetForm(BaseModel):
    """The same on the page, which has the token in a cookie."""

    new_password: NewPassword = Field(title="New password")


class Confirmation(BaseModel):
    """A button and nothing else."""


class Opening(Confirmation):
    """The button that opens an account; the password proves that it was you who signed up."""

    password: Password = Field(
        title="The password you chose when you signed up",
        description="If it was not you who signed up, choose a new one: Forgot your password?",
    )


class EmailChange(BaseModel):
    """Another e-mail for one's account; the password proves that it is you."""

    new_email: Email = Field(title="New e-mail")
    password: Password


class AccountDelete(BaseModel):
    """The end of one's account; the password proves that it is you."""

    password: Password


class PasswordGrant(BaseModel):
    """The OAuth2 password form (RFC 6749, section 4.3)."""

    grant_type: Literal["password"] | None = Field(default=None, description="password, or left out.")
    username: str = Field(max_length=254, description="The e-mail.")
    password: SecretStr = Field(max_length=LONGEST, description="The password.")
    scope: str = Field(default="", max_length=200, description="Accepted and not used.")
    client_id: str | None = Field(default=None, max_length=200, description="Accepted and not used.")
    client_secret: SecretStr | None = Field(default=None, max_length=200, description="Accepted and not used.")


class Token(BaseModel):
    """An access token and a refresh token (RFC 6749, section 5.1)."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`.")
    refresh_token: str = Field(description="Gives new tokens, once: the answer holds the one that follows it.")
    token_type: str = Field(default="bearer", description="Always bearer.")
    expires_in: int = Field(description="Seconds until it stops counting.")


class OAuthError(BaseModel):
    """A refusal of the token endpoint (RFC 6749, section 5.2)."""

    error: str = Field(description="invalid_request, invalid_grant or unsupported_grant_type.")
    error_description: str = Field(description="What to do.")


class RefreshGrant(BaseModel):
    """New tokens for a refresh token (RFC 6749, section 6), as a form or as JSON."""

    grant_type: Literal["refresh_token"] | None = Field(default=None, description="refresh_token, or left out.")
    refresh_token: str = Field(max_length=400, description="The last one that you were given.")


class Revocation(BaseModel):
    """The end of a token (RFC 7009), as a form or as JSON."""

    token: str = Field(max_length=4000, description="A refresh token, an access token or an API token.")
    token_type_hint: str | None = Field(default=None, max_length=100, description="Accepted and not used.")


class SessionRead(ReadSchema):
    """A device that is signed in."""

    id: UUID = Field(description="The session's id.")
    kind: str = Field(description="browser, or api for a client with tokens.")
    device: str = Field(description="What it says of itself, in words.")
    address: str = Field(description="The address it signed in from.")
    created_at: datetime = Field(description="When it signed in.")
    last_seen_at: datetime = Field(description="When it was used last, to the minute.")
    expires_at: datetime = Field(description="When it ends, however much it is used.")
    current: bool = Field(default=False, description="Whether it is the one that asks.")

    @classmethod
    def of(cls, row: Any, asking: UUID) -> Self:
        """The session as the one with the id `asking` sees it."""
        return cls.model_validate(row).model_copy(update={"current": row.id == asking})


class Scope(StrEnum):
    """What an API token may do: look at things, change them."""

    READ = "read"
    WRITE = "write"


class ApiTokenCreate(BaseModel):
    """A new API token."""

    name: str = Field(title="Name", description="What it is for.", min_length=1, max_length=100)
    scopes: list[Scope] = Field(
        default=[Scope.READ],
        title="What it may do",
        description="Read looks at what is yours, write changes it; neither opens the admin or these pages.",
        min_length=1,
        max_length=2,
    )
    expires_in_days: int = Field(
        default=90,
        ge=1,
        le=366,
        title="Days until it ends",
        description="A year at most.",
    )


class ApiTokenRead(ReadSchema):
    """An API token, without the token itself."""

    id: UUID = Field(description="The token's id.")
    name: str = Field(description="What it is for.")
    scopes: list[Scope] = Field(description="What it may do.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime = Field(description="When it counts no more.")
    last_used_at: datetime | None = Field(description="When it was used last, to the minute.")


class ApiTokenMade(ApiTokenRead):
    """A new API token, shown this once."""

    token: str = Field(description="Send it as `Authorization: Bearer …`. It is not shown again.")


class EventRead(ReadSchema):
    """Something that happened to your account."""

    id: UUID = Field(description="The event's id.")
    kind: str = Field(description="What happened: a stable word for programs.")
    words: str = Field(description="The same for people.")
    detail: str = Field(description="What it was about, such as a token's name.")
    address: str = Field(description="The address it came from; empty where staff did it.")
    device: str = Field(description="What the device says of itself, in words.")
    count: int = Field(description="How often, where much of the same is told together.")
    happened_at: datetime = Field(description="When; the last time, where it is told together.")
