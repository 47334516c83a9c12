"""Realtime's own settings, all beginning with REALTIME_."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from project.core import AppSettings


class RealtimeSettings(AppSettings):
    """How much one person may say."""

    model_config = SettingsConfigDict(env_prefix="REALTIME_")

    MESSAGE_RATE: str = Field(default="60/minute", description="Messages of one person, in all rooms.")
    ROOM_RATE: str = Field(default="20/hour", description="Rooms opened, and people invited, by one person.")
