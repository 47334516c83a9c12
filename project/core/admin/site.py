"""The admin's site: every view of every app at /admin, in SQLAdmin's clothes."""

import logging
import types
from typing import Any

from fastapi import FastAPI
from sqladmin import Admin, BaseView, ModelView
from starlette.datastructures import URL, FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from project.core.admin import own
from project.core.admin.door import Door, Sessions, told
from project.core.admin.views import ModelAdmin
from project.core.conf import ROOT
from project.core.errors import BadRequest, ConfigurationError
from project.core.jobs.figures import duration, job_figures
from project.core.runtime import Runtime
from project.core.templating import folders
from project.core.web import flash


def mount_admin(app: FastAPI, runtime: Runtime) -> None:
    """Mount /admin with the views of the apps, then the core's; raises ConfigurationError when two share an address."""
    site = Site(app, runtime)
    for view in [*(view for each in runtime.registry.apps for view in each.admin), *own.VIEWS]:
        site.add_view(view)


class Site(Admin):
    """SQLAdmin behind the site's own sign-in, errors and templates."""

    def __init__(self, app: FastAPI, runtime: Runtime) -> None:
        apps = [each.path for each in runtime.registry.apps]
        look: dict[str, Any] = {
            "title": f"{runtime.settings.SITE_NAME} admin",
            "favicon_url": "/static/favicon.svg",
            "templates_dir": folders(ROOT / "templates", apps),  # for their `sqladmin/…`
        }
        super().__init__(app, None, Sessions(runtime.database), middlewares=[Middleware(Door, site=app)], **look)
        self.admin.state = app.state
        app.state.admin = self
        self.templates.env.globals |= {"flashes": flash.waiting, "duration": duration}
        vars(self)["_handle_form_data"] = self._form_without_stray_files
        self.admin.exception_handlers = {HTTPException: _raise}
        # It logs, with a traceback, what a form refuses; the door logs what nobody expected.
        logging.getLogger("sqladmin.application").setLevel(logging.CRITICAL)

    def add_view(self, view: type[ModelView] | type[BaseView]) -> None:
        """Add a view as a class of this site's own, since SQLAdmin writes the session maker on the class.

        A plain ModelView gets ModelAdmin's manners. Raises ConfigurationError when its address is taken.
        """
        plain = view.is_model and not issubclass(view, ModelAdmin)
        own = types.new_class(view.__name__, (view, ModelAdmin) if plain else (view,))
        if view.is_model and any(view.identity == other.identity for other in self.views):
            way = f'write `{view.__name__}.identity = "…"` under the class.'
            raise ConfigurationError(f"Two admin views would stand at /admin/{view.identity}: {way}")
        super().add_view(own)
        for route in self.admin.router.routes:
            if isinstance(route, Route) and route.name.startswith("action-"):
                route.methods = {"POST"}

    def view_of(self, model: type[Any]) -> ModelAdmin | None:
        """The view of a table, where there is one."""
        return next((each for each in self.views if isinstance(each, ModelAdmin) and each.model is model), None)

    async def _form_without_stray_files(self, request: Request, row: Any = None) -> FormData:
        form = await Admin._handle_form_data(request, row)
        view = self._find_model_view(request.path_params["identity"])
        columns = view._mapper.columns
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and not hasattr(getattr(columns.get(name), "type", None), "storage"):
                await form.close()
                raise BadRequest(f"{name} takes no file.")
        return form

    async def login(self, request: Request) -> Response:
        """The site's own log-in page was in front of this already."""
        return RedirectResponse(request.url_for("admin:index"), 303)

    async def logout(self, request: Request) -> Response:
        """Log out where you logged in: on the site."""
        raise HTTPException(405)

    async def index(self, request: Request) -> Response:
        """What there is, and how the jobs stand."""
        async with request.app.state.runtime.unit_of_work(write=False) as db:
            numbers = await job_figures(db)
        response: Response = await self.templates.TemplateResponse(request, "sqladmin/index.html", {"jobs": numbers})
        flash.clear(request, response)
        return response

    async def list(self, request: Request) -> Response:
        """The list; a text in the address is not shown as if the site had said it."""
        if "error" in request.query_params:
            return RedirectResponse(request.url.remove_query_params("error"), 303)
        response: Response = await super().list(request)
        flash.clear(request, response)
        return response

    async def details(self, request: Request) -> Response:
        """One row."""
        response: Response = await super().details(request)
        flash.clear(request, response)
        return response

    async def create(self, request: Request) -> Response:
        """The form for a new row."""
        return told(request, await super().create(request))

    async def edit(self, request: Request) -> Response:
        """The form for a row."""
        return told(request, await super().edit(request))

    async def delete(self, request: Request) -> Response:
        """Delete the rows of `?pks=`, all or none; answers where to go next."""
        pks = [pk for pk in dict.fromkeys(request.query_params.get("pks", "").split(",")) if pk]
        view = self._find_model_view(request.path_params["identity"])
        if not pks or not isinstance(view, ModelAdmin):
            raise BadRequest("Choose what to delete first.")
        await self._delete(request)
        await view.delete_all(request, pks)
        url, before = request.url_for("admin:list", identity=view.identity), URL(request.headers.get("referer", ""))
        return PlainTextResponse(str(url.replace(query=before.query if before.path == url.path else "")))


async def _raise(_: Request, error: Exception) -> Response:
    raise error
