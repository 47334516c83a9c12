"""Settings: environment first, then `.env`; what is missing or unsafe stops the start with advice."""

import os
import pkgutil
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    validate_email,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from project.core.errors import ConfigurationError
from project.core.signing import is_weak

ROOT = Path(__file__).resolve().parents[2]


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Names = Annotated[list[str], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[list[SecretStr], NoDecode, BeforeValidator(_split)]
_SERVERS = {
    "DATABASE_URL": (r"(sqlite|postgres(ql)?)(\+\w+)?:", "postgresql:// or sqlite:///"),
    "REDIS_URL": (r"(redis|rediss|unix)://.", "redis://, rediss:// or unix://"),
}


class EnvSettings(BaseSettings):
    """What project settings and app settings share: where values come from and how refusals read."""

    model_config = SettingsConfigDict(
        env_file=ROOT / ".env", extra="ignore", case_sensitive=True, hide_input_in_errors=True, frozen=True
    )

    @classmethod
    def load(cls) -> Self:
        """Read the settings; raises ConfigurationError naming each setting that has to change."""
        try:
            return cls()
        except ValidationError as error:
            lines = [_advice(cls, detail) for detail in error.errors(include_input=False, include_url=False)]
            raise ConfigurationError("\n".join(lines)) from None

    @property
    def sources(self) -> dict[str, str]:
        """Where each value came from: {name: "set" | "default"}."""
        return {name: "set" if name in self.model_fields_set else "default" for name in type(self).model_fields}


class AppSettings(EnvSettings):
    """The base of an app's own settings; give it `env_prefix="BLOG_"` in its model_config."""


def _advice(cls: type[EnvSettings], detail: Any) -> str:
    prefix = cls.model_config.get("env_prefix") or ""
    name = prefix + ".".join(map(str, detail["loc"])) if detail["loc"] else ""
    if detail["type"] == "missing":
        return f"{name} is not set: put it in the environment or in .env (.env.example lists every setting)."
    return f"{name} {detail['msg'].removeprefix('Value error, ')}.".strip()


class Settings(EnvSettings):
    """Every setting the framework reads; a project subclasses it to add its own.

    Names are the same here, in the environment, in `.env` and in the docs.
    """

    DEBUG: bool = Field(default=False, description="Development mode: open API docs, plain logs, helpful errors.")
    SECRET_KEY: SecretStr = Field(description="Signs tokens and flash messages; at least 32 random characters.")
    SECRET_KEY_FALLBACKS: Secrets = Field(default=[], description="Former keys that are still accepted.")
    SITE_NAME: str = Field(default="Uptempo", description="The name people read.")
    SITE_URL: str = Field(default="http://127.0.0.1:8000", description="Where people reach the site.")
    INSTALLED_APPS: Names = Field(default=[], description="Import paths of the apps, in order.")
    ALLOWED_HOSTS: Names = Field(
        default=[],
        description="Host names answered besides SITE_URL's; `.example.com` means its sub-domains too.",
    )
    TRUSTED_ORIGINS: Names = Field(default=[], description="Other origins whose pages may post here.")
    TRUSTED_PROXIES: Names = Field(
        default=[], description="Addresses or networks whose forwarded headers are believed."
    )
    DATABASE_URL: SecretStr = Field(
        default=SecretStr(""), description="postgresql://… or sqlite:///…; empty means SQLite in DATA_DIR."
    )
    DB_POOL_SIZE: int = Field(default=10, ge=1, le=200, description="Database connections kept by one process.")
    DB_POOL_OVERFLOW: int = Field(default=10, ge=0, le=200, description="More connections at peaks.")
    DB_POOL_TIMEOUT: float = Field(default=5, gt=0, le=60, description="Seconds to wait for a connection; then 503.")
    DB_STATEMENT_TIMEOUT: float = Field(default=5, gt=0, le=600, description="Seconds a PostgreSQL statement may take.")
    SLOW_QUERY_MS: int = Field(default=200, ge=0, description="Statements as long as this are logged; 0: none are.")
    REDIS_URL: SecretStr = Field(
        default=SecretStr(""),
        description="redis://… or rediss://…; empty means jobs run and events travel inside one process.",
    )
    MAIL_URL: SecretStr = Field(
        default=SecretStr(""),
        description="smtp://…, smtps://…, console: or file:; empty means file: in DEBUG, else no mail can be sent.",
    )
    MAIL_FROM: str = Field(default="", description="Who mail comes from; empty means SITE_NAME at SITE_URL's host.")
    DATA_DIR: Path = Field(default=ROOT / ".data", description="Where SQLite, mail and the browser assets live.")
    LIVE_RELOAD: bool | None = Field(
        default=None, description="In DEBUG, reload the browser as you edit; unset means only under runserver."
    )
    STATIC_URL: str = Field(
        default="/static/", description="Where browsers fetch static files: /static/, or a CDN that asks this site."
    )
    STATIC_ROOT: Path | None = Field(
        default=None, description="Where collectstatic puts them; unset means the folder static in DATA_DIR."
    )
    DISK_FREE_MB: int = Field(
        default=200, ge=0, description="Megabytes to stay free; with less, /health/ready says so."
    )
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="Least level logged.")
    LOG_FORMAT: Literal["auto", "console", "json"] = Field(
        default="auto", description="json, console, or auto: console in DEBUG."
    )
    API_DOCS: bool | None = Field(default=None, description="Serve the API docs; unset means only in DEBUG.")
    METRICS_TOKEN: SecretStr = Field(
        default=SecretStr(""), description="What a scraper sends as its bearer token; empty means there is no /metrics."
    )
    STALL_SECONDS: float = Field(default=0.25, ge=0, le=60, description="Tell what holds up the loop so long; 0: no.")
    OPENTELEMETRY: bool = Field(default=False, description="Send traces to where OTEL_EXPORTER_OTLP_ENDPOINT says.")
    SILENCED_CHECKS: Names = Field(default=[], description="Ids of what `check` finds and this site means to be so.")
    MAX_BODY_SIZE: int = Field(default=2_621_440, ge=1024, description="Largest request body, in bytes.")
    MAX_FORM_FIELDS: int = Field(default=1000, ge=1, description="Most fields in one form.")
    WEB_CONCURRENCY: int = Field(default=1, ge=1, le=1000, description="Web processes of this site, in all.")
    DRAIN_SECONDS: float = Field(default=0, ge=0, le=300, description="Seconds of 503 at /health/ready before a stop.")
    WORKER_PROCESSES: int = Field(
        default=1, ge=0, le=1000, description="Worker processes of this site, in all; counted where there is Redis."
    )
    HASH_WORKERS: int = Field(default=1, ge=1, le=32, description="Threads of one process that hash passwords.")
    WORKER_CONCURRENCY: int = Field(default=20, ge=1, le=1000, description="Jobs that one process runs at once.")
    WORKER_THREADS: int = Field(
        default=4, ge=1, le=64, description="Jobs that one process runs at once in threads or child processes."
    )
    WORKER_GRACE: float = Field(
        default=15, ge=0, le=3600, description="Seconds that running jobs have to end when a process stops."
    )
    JOBS_KEPT_DAYS: float = Field(default=7, gt=0, description="How long jobs that ended are kept.")
    DEAD_JOBS_KEPT_DAYS: float = Field(default=90, gt=0, description="How long jobs that failed for good are kept.")
    AUDIT_KEPT_DAYS: float | None = Field(
        default=None, gt=0, description="How long the history of what staff changes is kept; unset means for ever."
    )
    HASH_QUEUE: int = Field(default=32, ge=1, description="Passwords that may wait for hashing; beyond that 503.")

    @classmethod
    def load(cls) -> Self:
        """Read these, or those that SETTINGS_MODULE (`manage.py --settings`) names; raises ConfigurationError."""
        named = os.environ.get("SETTINGS_MODULE")
        chosen = _settings_class(named) if named else cls
        return super(Settings, chosen).load()  # type: ignore[return-value]

    @field_validator("SECRET_KEY", "SECRET_KEY_FALLBACKS")
    @classmethod
    def _strong(cls, given: SecretStr | list[SecretStr]) -> SecretStr | list[SecretStr]:
        keys = [key.get_secret_value() for key in (given if isinstance(given, list) else [given])]
        if any(map(is_weak, keys)):
            raise ValueError(
                "is too weak; make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(50))'"
            )
        return given

    @field_validator("SITE_URL")
    @classmethod
    def _origin(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError("must be scheme and host only, such as https://example.com")
        return url.rstrip("/")

    @field_validator("DATABASE_URL", "REDIS_URL")
    @classmethod
    def _known_server(cls, given: SecretStr, about: ValidationInfo) -> SecretStr:
        url = given.get_secret_value()
        known, words = _SERVERS[about.field_name or ""]
        if url and not re.match(known, url):
            raise ValueError(f"must begin with {words}")
        try:
            urlsplit(url).port  # noqa: B018 - asking is what checks it
        except ValueError:
            raise ValueError("has a port or host that cannot be read") from None
        return given

    @field_validator("STATIC_URL")
    @classmethod
    def _static_address(cls, url: str) -> str:
        if url != "/static/" and not re.fullmatch(r"https?://[\w.-]+(:\d{1,5})?(/[\w.~-]+)*/", url, re.A):
            raise ValueError("must be /static/ or an address that ends with a slash: https://cdn.example.com/static/")
        return url

    @field_validator("DATA_DIR", "STATIC_ROOT")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path if path is None or path.is_absolute() else ROOT / path

    @field_validator("MAIL_URL")
    @classmethod
    def _known_mail(cls, url: SecretStr) -> SecretStr:
        try:
            parts = urlsplit(url.get_secret_value())
            smtp = parts.hostname and parts.port != 0 and parts.path in ("", "/")
            known = smtp if parts.scheme in ("smtp", "smtps") else not parts.netloc
        except ValueError:
            known = False
        if url and not (known and parts.scheme in ("smtp", "smtps", "file", "console", "memory") and not parts.query):
            raise ValueError(
                "must be smtp://user:password@host:587, smtps://…, console: or file:; what is special in a password "
                "is written in percents (/ is %2F)"
            )
        return url

    @field_validator("MAIL_FROM")
    @classmethod
    def _one_sender(cls, given: str) -> str:
        if given:
            validate_email(given)
        return given

    @property
    def secure(self) -> bool:
        """True when people reach the site by https; decides cookie names and flags, never DEBUG."""
        return self.SITE_URL.startswith("https://")

    @property
    def hosts(self) -> list[str]:
        """The host names this site answers to."""
        local = ["localhost", "127.0.0.1", "[::1]"] if self.DEBUG else []
        name = urlsplit(self.SITE_URL).hostname or ""
        return [f"[{name}]" if ":" in name else name, *self.ALLOWED_HOSTS, *local]

    @property
    def mail_host(self) -> str:
        """The host that mail comes from, in ASCII; addresses of machines are not for mail."""
        name = urlsplit(self.SITE_URL).hostname or ""
        return "localhost" if ":" in name or name.replace(".", "").isdigit() else name.encode("idna").decode()

    @property
    def live_reload(self) -> bool:
        """True when browsers are told what changed; never outside DEBUG."""
        return self.DEBUG and bool(self.LIVE_RELOAD)

    @property
    def static_url(self) -> str:
        """What the addresses of static files begin with; in development always this site."""
        return "/static/" if self.DEBUG else self.STATIC_URL

    @property
    def static_origin(self) -> str:
        """The other origin static files come from, or nothing."""
        return "/".join(self.static_url.split("/")[:3]) if "://" in self.static_url else ""

    @property
    def static_root(self) -> Path:
        """Where the collected files lie."""
        return self.STATIC_ROOT or self.DATA_DIR / "static"

    @property
    def docs_open(self) -> bool:
        """True when /api/docs and the schema are served."""
        return self.DEBUG if self.API_DOCS is None else self.API_DOCS

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL with the async driver; it holds the password, so it is never logged."""
        url = self.DATABASE_URL.get_secret_value() or f"sqlite:///{self.DATA_DIR / 'db.sqlite3'}"
        scheme, _, rest = url.partition(":")
        driver = "sqlite+aiosqlite" if scheme.startswith("sqlite") else "postgresql+asyncpg"
        return f"{driver}:{rest}"

    @property
    def keys(self) -> list[str]:
        """The signing key first, then the fallbacks that are accepted for reading."""
        return [key.get_secret_value() for key in (self.SECRET_KEY, *self.SECRET_KEY_FALLBACKS)]


def _settings_class(name: str) -> type[Settings]:
    try:
        found: Any = pkgutil.resolve_name(name if ":" in name else f"{name}:Settings")
        if isinstance(found, type) and issubclass(found, Settings):
            return found
        why = "that is not a settings class"
    except (ImportError, AttributeError, ValueError) as error:
        why = str(error)
    raise ConfigurationError(f"SETTINGS_MODULE names {name}, but {why}.")
