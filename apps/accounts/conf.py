"""The app's own settings, all beginning with ACCOUNTS_."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from project.core import AppSettings


class AccountsSettings(AppSettings):
    """Lifetimes and limits."""

    model_config = SettingsConfigDict(env_prefix="ACCOUNTS_")

    SESSION_HOURS: int = Field(default=24, ge=1, description="How long a log-in lasts.")
    REMEMBER_DAYS: int = Field(default=30, ge=1, description="How long it lasts with “Keep me logged in”.")
    ACCESS_MINUTES: int = Field(default=10, ge=1, le=60, description="How long an API client's access token counts.")
    LOGIN_RATE_ACCOUNT: str = Field(default="10/5 minutes", description="Log-ins tried for one account.")
    LOGIN_RATE_ADDRESS: str = Field(default="30/minute", description="Log-ins tried from one address.")
    SIGNUP_RATE_ADDRESS: str = Field(default="20/minute", description="Accounts opened from one address.")
