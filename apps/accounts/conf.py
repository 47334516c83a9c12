"""The app's own settings, all beginning with ACCOUNTS_."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from project.core import AppSettings, Runtime
from project.core.web.limits import RateText


class AccountsSettings(AppSettings):
    """Lifetimes and limits."""

    model_config = SettingsConfigDict(env_prefix="ACCOUNTS_")

    SIGNUP: Literal["open", "confirm"] | None = Field(
        default=None,
        description="open: a new account counts at once; confirm: once its mail's link is used; unset: open in DEBUG.",
    )
    SESSION_HOURS: float = Field(default=24, gt=0, le=8760, description="How long a log-in lasts at most.")
    IDLE_HOURS: float = Field(default=12, gt=0, le=8760, description="How long it lasts unused.")
    REMEMBER_DAYS: float = Field(
        default=30, gt=0, le=365, description="How long it lasts at most with “Keep me logged in”."
    )
    REMEMBER_IDLE_DAYS: float = Field(
        default=14, gt=0, le=365, description="How long that one lasts unused, and an API client's refresh token."
    )
    REFRESH_DAYS: float = Field(
        default=30, gt=0, le=365, description="How long an API client gets new tokens without a password."
    )
    EVENTS_KEPT_DAYS: float = Field(
        default=180, gt=0, le=3650, description="How long people see what happened to their accounts."
    )
    ACCESS_MINUTES: int = Field(default=10, ge=1, le=60, description="How long an API client's access token counts.")
    LOGIN_RATE_ACCOUNT: RateText = Field(default="10/5 minutes", description="Log-ins tried for one account.")
    LOGIN_RATE_ADDRESS: RateText = Field(default="30/minute", description="Log-ins tried from one address.")
    SIGNUP_RATE_ADDRESS: RateText = Field(default="20/minute", description="Accounts opened from one address.")
    MAIL_RATE_ACCOUNT: RateText = Field(default="5/5 minutes", description="Mails of one kind asked for one account.")
    MAIL_RATE_ADDRESS: RateText = Field(default="20/minute", description="Mails and links tried from one address.")


def confirms(runtime: Runtime) -> bool:
    """Whether a new account opens only by the link in its mail."""
    chosen = runtime.conf(AccountsSettings).SIGNUP
    return chosen == "confirm" if chosen else not runtime.settings.DEBUG
