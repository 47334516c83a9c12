"""The assembly of the web app, top to bottom: layers, refusals, doors."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cache
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from jinja2 import Environment
from starlette.middleware import Middleware
from starlette.routing import Match
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from project.core import templating
from project.core.admin import mount_admin
from project.core.apps import AppConfig
from project.core.conf import ROOT, Settings
from project.core.identity import principal
from project.core.log import configured, get_logger
from project.core.reporting import reporting
from project.core.runtime import Runtime
from project.core.signing import Signer
from project.core.web import docs, health, jobs, live, metrics, problems, tickets
from project.core.web.body import BodyLimit
from project.core.web.edge import Edge
from project.core.web.guard import Guard
from project.core.web.leaving import Leaving
from project.core.web.limits import Limiter
from project.core.web.once import as_api
from project.core.web.pages import as_pages
from project.core.web.static.serving import StaticFiles, StaticLayer

log = get_logger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The site as one ASGI app; nothing is opened before its lifespan starts."""
    runtime = Runtime(settings)
    static = StaticFiles(runtime)
    app = FastAPI(
        title=settings.SITE_NAME,
        openapi_url="/api/openapi.json" if settings.docs_open else None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        middleware=[
            *([Middleware(ProxyHeadersMiddleware, settings.TRUSTED_PROXIES)] if settings.TRUSTED_PROXIES else []),
            Middleware(Edge, settings),
            Middleware(Guard, settings),
            Middleware(StaticLayer, static),
            Middleware(Leaving),
            Middleware(BodyLimit, settings),
        ],
    )
    app.state.runtime = runtime
    app.state.signer = Signer(settings.keys)
    app.state.limiter = Limiter(settings.REDIS_URL, app.state.signer.key("limits"))
    app.state.static = static
    app.state.templates = _templates(app, runtime)
    problems.install(app)
    for router, prefix in ((health.router, "/health/"), (metrics.router, "/metrics")):
        app.include_router(router)
        _ask_only_below(app, prefix)
    if settings.docs_open:
        app.include_router(docs.router)
        docs.declare_problems(app)
    _mount(app, AppConfig("jobs", api=jobs.api, pages=jobs.pages))
    _mount(app, AppConfig("live", api=tickets.api, pages=live.pages))
    for each in runtime.registry.apps:
        _mount(app, each)
    if settings.DEBUG:
        _mount_dev(app)
    app.mount("/static", static, name="static")  # for url_for(); the layer answers before the router is asked
    mount_admin(app, runtime)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    with configured(runtime.settings), runtime.closing.told_by_signals(runtime.settings.DRAIN_SECONDS):
        async with runtime, aclosing(app.state.limiter), reporting(runtime, "web") as app.state.report:
            await _remind(runtime)
            async with runtime.jobs_here():
                yield


async def _remind(runtime: Runtime) -> None:
    """Say in development that migrations wait; a database that is away does not hinder the start."""
    if runtime.settings.DEBUG and (await health.parts_of(runtime)).get("migrations") == "pending":
        log.warning("migrations are waiting: run `python3 manage.py migrate`")


def _operation_id(route: APIRoute) -> str:
    return "_".join([*(str(tag) for tag in route.tags[:1]), route.name])


def _mount(app: FastAPI, each: AppConfig) -> None:
    if each.api:
        prefix = f"/api/v1/{each.label}"
        app.include_router(as_api(each.api), prefix=prefix, tags=[each.label], responses=docs.PROBLEM)
        _ask_only_below(app, prefix)
    if each.pages:
        pages = as_pages(each.pages)
        asking = [Depends(principal)]
        app.include_router(pages, prefix=each.pages_prefix, include_in_schema=False, dependencies=asking)
        _ask_only_below(app, each.pages_prefix)
    if each.websockets:
        app.include_router(each.websockets, prefix=each.pages_prefix)


def _ask_only_below(app: FastAPI, prefix: str) -> None:
    """Let the router that was included last be asked only for what begins so: FastAPI would try each of its routes."""
    included = app.router.routes[-1]
    matches = included.matches

    def quickly(scope: Scope) -> tuple[Match, Scope]:
        elsewhere = not scope.get("root_path") and not scope["path"].startswith(prefix)
        return (Match.NONE, {}) if elsewhere else matches(scope)

    vars(included)["matches"] = quickly


def _mount_dev(app: FastAPI) -> None:
    from project.core.web import dev

    for router in dev.routers:
        app.include_router(as_pages(router), include_in_schema=False, dependencies=[Depends(principal)])
    app.state.explain = dev.explain


def _addresses(app: FastAPI) -> Callable[..., str]:
    """`app.url_path_for` as text, which would ask every route each time; what it found is remembered."""

    @cache
    def pattern(name: str, *keys: str) -> str:
        return str(app.url_path_for(name, **{key: f"{{{key}}}" for key in keys}))

    def url(name: str, /, **params: Any) -> str:
        texts = {key: str(value) for key, value in params.items()}
        if all(text and "/" not in text for text in texts.values()):
            with suppress(ValueError):  # a number in the path, which takes no other
                return pattern(name, *texts).format_map(texts)
        return str(app.url_path_for(name, **params))

    return url


def _templates(app: FastAPI, runtime: Runtime) -> Environment:
    settings = runtime.settings
    return templating.environment(
        ROOT / "templates",
        [each.path for each in runtime.registry.apps],
        url=_addresses(app),
        static=app.state.static.url,
        live=live.live,
        site_name=settings.SITE_NAME,
        debug=settings.DEBUG,
        live_reload=settings.live_reload,
        api_docs=settings.docs_open,
        assets=app.state.static.has("vendor/htmx.min.js"),
    )
