"""The plug: AppConfig lists every socket of the house; the Registry plugs the installed apps in."""

import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.routing import NoMatchFound

from project.core.checks import Check
from project.core.conf import AppSettings
from project.core.errors import ConfigurationError, nearest
from project.core.identity import Authenticate, Identify
from project.core.jobs.chores import CORE_JOBS
from project.core.jobs.declaring import JobType

if TYPE_CHECKING:
    import click

    from project.core.db.session import AsyncSession
    from project.core.runtime import Runtime

Chore = Callable[["AsyncSession", "Runtime"], Awaitable[Mapping[str, int]]]  # how many rows of what
RESERVED = {"api", "admin", "core", "jobs", "live", "health", "metrics", "static", "_dev"}


@dataclass(frozen=True, slots=True)
class MenuItem:
    """A link in the site's menu: the words and the route's name. `staff` hides it from everybody else."""

    title: str
    route: str
    staff: bool = False


@dataclass(frozen=True)
class AppConfig:
    """What one app adds to the site. Every socket has a default: name only what you plug in.

    Args:
        label: the app's name in URLs, tables, templates and settings, such as "blog".
        title: the name people read.
        prefix: where its pages stand; "/<label>" unless you say otherwise.
        api: a router for JSON, mounted at /api/v1/<label>.
        pages: a router for HTML, mounted at the prefix, kept out of the API docs.
        websockets: a router for sockets, mounted at the prefix; a socket holds no database session.
        models: the tables, for migrations and the shell.
        admin: SQLAdmin views, shown at /admin.
        jobs: what `@job` made; the name in `enqueue` is "<label>.<function>".
        cron: what `@cron` made; the workers enqueue it at its times.
        commands: click commands, run as `manage.py <name>`.
        checks: system checks.
        menu: links in the site's menu.
        settings: a subclass of AppSettings, read once at the start: `runtime.conf(BlogSettings)`.
        lifespan: a context manager entered while the site runs: `async with lifespan(runtime)`.
        authenticate: answers "who is this?"; at most one installed app may have it.
        identify: answers "who is called so?" for `manage.py request --user`; beside authenticate.
        login: the route name of that app's log-in page, where pages send whoever must be signed in.
        cleanup: deletes what nobody will ask for again: `await forget(db, runtime)`, for `manage.py cleanup`.
        seed: adds demo data that is not there yet: `await seed(db, runtime)`, for `manage.py seed`.
        permissions: what groups may be given besides the admin's own: `{"blog.post.publish": "Publish posts"}`.
    """

    label: str
    title: str = ""
    prefix: str | None = None
    api: APIRouter | None = None
    pages: APIRouter | None = None
    websockets: APIRouter | None = None
    models: Sequence[type[Any]] = ()
    admin: Sequence[type[Any]] = ()
    jobs: Sequence[JobType] = ()
    cron: Sequence[JobType] = ()
    commands: Sequence["click.Command"] = ()
    checks: Sequence[Check] = ()
    menu: Sequence[MenuItem] = ()
    settings: type[AppSettings] | None = None
    lifespan: Callable[["Runtime"], AbstractAsyncContextManager[None]] | None = None
    authenticate: Authenticate | None = None
    identify: Identify | None = None
    login: str = ""
    cleanup: Chore | None = None
    seed: Chore | None = None
    permissions: Mapping[str, str] = field(default_factory=dict)
    path: Path = field(default=Path(), init=False)

    @property
    def pages_prefix(self) -> str:
        """Where the app's pages and sockets stand."""
        return f"/{self.label}" if self.prefix is None else self.prefix


class Registry:
    """The installed apps, in order. Raises ConfigurationError when two of them clash."""

    def __init__(self, installed: Sequence[str]) -> None:
        self.apps = [_load(path) for path in installed]
        answering = self._answering()
        self.authenticate = answering.authenticate if answering else None
        self.identify = answering.identify if answering else None
        self.login = answering.login if answering else ""
        self.jobs = {each.name: each for each in (job.named("core") for job in CORE_JOBS)}
        self.commands: dict[str, click.Command] = {}
        owners: dict[str, str] = {}
        labels: set[str] = set()
        for app in self.apps:
            if app.label in labels:
                raise ConfigurationError(f"Two apps have the label {app.label!r}: rename one in its app.py.")
            if app.label in RESERVED:
                raise ConfigurationError(f"The label {app.label!r} is the framework's own: choose another in app.py.")
            labels.add(app.label)
            for job in [each.named(app.label) for each in (*app.jobs, *app.cron)]:
                if job.name in self.jobs:
                    raise ConfigurationError(f"Two jobs are called {job.name!r}: rename one function.")
                self.jobs[job.name] = job
            for command in app.commands:
                name = command.name or ""
                if name in owners:
                    raise ConfigurationError(
                        f"{owners[name]} and {app.label} both have a command {name!r}: rename one."
                    )
                self.commands[name], owners[name] = command, app.label

    def app(self, label: str) -> AppConfig:
        """The app with this label; raises ConfigurationError with the nearest match."""
        for app in self.apps:
            if app.label == label:
                return app
        raise ConfigurationError(f"There is no app {label!r}.{nearest(label, [app.label for app in self.apps])}")

    def path_for(self, name: str, /, **params: Any) -> str:
        """The path of a route, without an app to ask; raises NoMatchFound."""
        for app in self.apps:
            for router, prefix in ((app.api, f"/api/v1/{app.label}"), (app.pages, app.pages_prefix)):
                if router:
                    with suppress(NoMatchFound):
                        return f"{prefix}{router.url_path_for(name, **params)}"
        raise NoMatchFound(name, params)

    def _answering(self) -> AppConfig | None:
        answering = [app for app in self.apps if app.authenticate]
        if len(answering) > 1:
            names = " and ".join(app.label for app in answering)
            raise ConfigurationError(f"{names} both set authenticate: only one app may say who is asking.")
        return answering[0] if answering else None


def _load(path: str) -> AppConfig:
    module_name = f"{path}.app"
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise ConfigurationError(
                f"INSTALLED_APPS names {path!r}, but there is no {module_name.replace('.', '/')}.py."
            ) from None
        raise
    config = getattr(module, "config", None)
    if not isinstance(config, AppConfig):
        raise ConfigurationError(f"{module_name.replace('.', '/')}.py has no `config = AppConfig(...)`.")
    object.__setattr__(config, "path", Path(module.__file__ or "").parent)
    return config
