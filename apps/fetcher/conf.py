"""The fetcher's own settings, all beginning with FETCHER_."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from apps.fetcher.client import Limits
from apps.fetcher.guard import Guard, host_and_port
from project.core import AppSettings, CurrentRuntime
from project.core.conf import Names
from project.core.web.limits import RateText


class FetcherSettings(AppSettings):
    """What may be fetched, and how much."""

    model_config = SettingsConfigDict(env_prefix="FETCHER_")

    ALLOW: Names = Field(
        default=[], description="Exceptions to the guard: exact host:port pairs that are fetched although private."
    )
    PORTS: Names = Field(default=["80", "443"], description="Ports that are fetched from.")
    CONCURRENCY: int = Field(default=100, ge=1, le=1000, description="Requests of one process at once.")
    PER_HOST: int = Field(default=10, ge=1, le=1000, description="Requests to one host at once.")
    URL_SECONDS: float = Field(default=20, gt=0, le=300, description="Seconds that one URL may take in all.")
    MAX_BYTES: int = Field(default=5_000_000, ge=1, description="Largest body, decoded, in bytes.")
    MAX_URLS: int = Field(default=10_000, ge=1, le=10_000, description="URLs of one batch.")
    MAX_BATCHES: int = Field(default=10, ge=1, description="Batches of one person that are not done yet.")
    URLS_PER_DAY: int = Field(default=100_000, ge=1, description="URLs of one person in a day, in all.")
    RATE: RateText = Field(default="30/minute", description="Requests of one person whose URLs are fetched at once.")

    @property
    def guard(self) -> Guard:
        """What may be dialled."""
        return Guard(map(int, self.PORTS), self.ALLOW)

    def limits(self, batch_seconds: float) -> Limits:
        """What one call of the engine may do, in so many seconds."""
        return Limits(
            concurrency=self.CONCURRENCY,
            per_host=self.PER_HOST,
            url_seconds=self.URL_SECONDS,
            batch_seconds=batch_seconds,
            max_bytes=self.MAX_BYTES,
        )

    @field_validator("ALLOW")
    @classmethod
    def _exact(cls, pairs: list[str]) -> list[str]:
        for pair in pairs:
            host_and_port(pair)
        return pairs

    @field_validator("PORTS")
    @classmethod
    def _numbers(cls, ports: list[str]) -> list[str]:
        if not all(port.isascii() and port.isdigit() and 0 < int(port) < 65536 for port in ports):
            raise ValueError("must be port numbers with commas between them, such as 80,443")
        return ports


async def current_settings(runtime: CurrentRuntime) -> FetcherSettings:
    """These settings, for handlers."""
    return runtime.conf(FetcherSettings)


Conf = Annotated[FetcherSettings, Depends(current_settings)]
