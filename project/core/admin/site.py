"""The admin's site: every view of every app at /admin, in SQLAdmin's clothes."""

import logging
import types
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqladmin import Admin, BaseView, ModelView
from sqladmin.authorization import custom_action
from sqladmin.helpers import get_object_identifier
from sqlmodel import col, select
from starlette.datastructures import URL, FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from project.core.admin import own
from project.core.admin.deleting import consequences, deletable, delete_all
from project.core.admin.door import ON_THE_FORM, Door, Sessions, told
from project.core.admin.fields import with_named
from project.core.admin.importing import imported
from project.core.admin.listing import how_many
from project.core.admin.rights import Rights
from project.core.admin.views import ModelAdmin
from project.core.conf import ROOT
from project.core.db.audit import AuditEntry
from project.core.db.models import words
from project.core.errors import BadRequest, ConfigurationError, Forbidden, NotFound
from project.core.jobs.figures import duration, job_figures
from project.core.runtime import Runtime
from project.core.templating import folders
from project.core.web import flash
from project.core.web.access import permissions_of
from project.core.web.problems import refusal_of
from project.core.web.redirects import redirect


def mount_admin(app: FastAPI, runtime: Runtime) -> None:
    """Mount /admin with the views of the apps, then the core's; raises ConfigurationError when two share an address."""
    site = Site(app, runtime)
    for each in runtime.registry.apps:
        for view in each.admin:
            site.add_view(view, each.label)
    for view in own.VIEWS:
        site.add_view(view)
    for route in iter_route_contexts(app.routes):
        for name in permissions_of(route):
            site.rights.check(name, str(route.path))


class Site(Admin):
    """SQLAdmin behind the site's own sign-in, errors and templates."""

    def __init__(self, app: FastAPI, runtime: Runtime) -> None:
        apps = [each.path for each in runtime.registry.apps]
        look: dict[str, Any] = {
            "title": f"{runtime.settings.SITE_NAME} admin",
            "favicon_url": "/static/favicon.svg",
            "templates_dir": folders(ROOT / "templates", apps),  # for their `sqladmin/…`
        }
        self.rights = Rights(runtime.registry)
        door = Middleware(Door, site=app, admin=self, admit=self.rights.admit)
        look |= {"authorization_backend": self.rights, "middlewares": [door]}
        super().__init__(app, None, Sessions(runtime.database), **look)
        self.admin.state = app.state
        self.admin.add_route("/{identity}/history/{pk:path}", self.history, ["GET"], "history")
        self.admin.add_route("/{identity}/confirm/{slug}", self.confirm, ["GET"], "confirm")
        self.templates.env.globals |= {"flashes": flash.waiting, "duration": duration, "words": words}
        vars(self)["_handle_form_data"] = self._form
        self.admin.exception_handlers = {HTTPException: _raise}
        # It logs, with a traceback, what a form refuses; the door logs what nobody expected.
        logging.getLogger("sqladmin.application").setLevel(logging.CRITICAL)

    def add_view(self, view: type[ModelView] | type[BaseView], app: str = "core") -> None:
        """Add a view of an app as a class of this site's own, since SQLAdmin writes the session maker on the class.

        A plain ModelView gets ModelAdmin's manners. Where another app has a view of its name, the later one stands at
        /admin/<app>-<name>; raises ConfigurationError when that is taken, too.
        """
        plain = view.is_model and not issubclass(view, ModelAdmin)
        own: Any = types.new_class(view.__name__, (view, ModelAdmin) if plain else (view,))
        taken = {other.identity for other in self.views} if view.is_model else set()
        if own.identity in taken:
            own.identity = f"{app}-{own.identity}"
        if own.identity in taken:
            way = f'write `{view.__name__}.identity = "…"` under the class.'
            raise ConfigurationError(f"Two admin views would stand at /admin/{own.identity}: {way}")
        super().add_view(own)
        self.rights.add(app, self.views[-1])
        self._set_methods()

    def view_for(self, table: str) -> ModelAdmin | None:
        """The view of the table with this name, where there is one."""
        views = [each for each in self.views if isinstance(each, ModelAdmin)]
        return next((each for each in views if each._mapper.local_table.name == table), None)

    def view_of(self, model: type[Any]) -> ModelAdmin | None:
        """The view of a table, where there is one."""
        return next((each for each in self.views if isinstance(each, ModelAdmin) and each.model is model), None)

    def _set_methods(self) -> None:
        """SQLAdmin runs actions by GET, and asks before a deletion and an import by script only."""
        for route in self.admin.router.routes:
            if isinstance(route, Route) and route.name.startswith("action-"):
                route.methods = {"POST"}
            elif isinstance(route, Route) and route.name in ("delete", "import"):
                route.methods = {"GET", "POST", "DELETE"} if route.name == "delete" else {"GET", "POST"}

    async def _form(self, request: Request, row: Any = None) -> FormData:
        """What was sent, without stray files, and with the rows that are named in words."""
        form = await Admin._handle_form_data(request, row)
        view = self._find_model_view(request.path_params["identity"])
        columns = view._mapper.columns
        for name, value in form.multi_items():
            if isinstance(value, UploadFile) and not hasattr(getattr(columns.get(name), "type", None), "storage"):
                await form.close()
                raise BadRequest(f"{name} takes no file.")
        hidden = self.rights.out_of_sight(request, view.identity)
        lookups: dict[str, Any] = view._form_ajax_refs
        return await with_named(request, form, {name: lookups[name] for name in lookups.keys() - hidden})

    async def login(self, request: Request) -> Response:
        """The site's own log-in page was in front of this already."""
        return RedirectResponse(request.url_for("admin:index"), 303)

    async def logout(self, request: Request) -> Response:
        """Log out where you logged in: on the site."""
        raise HTTPException(405)

    async def index(self, request: Request) -> Response:
        """What there is and how much of it, and how the jobs stand, as far as the visitor may see them."""

        def seen(identity: str) -> bool:
            return self.rights.has_permission(request, identity, "list")

        counts = {}
        async with request.app.state.runtime.unit_of_work(write=False) as db:
            numbers = await job_figures(db) if seen(own.JobAdmin.identity) else None
            for view in self.views:
                if isinstance(view, ModelAdmin) and seen(view.identity) and await view.check_can_list(request):
                    counts[view.identity] = await how_many(db, view.list_query(request))
        return await self._page(request, "index", jobs=numbers, counts=counts)

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

    async def history(self, request: Request) -> Response:
        """What staff has changed of one row."""
        await self._details(request)
        view = self._view(request)
        row = await view.get_object_for_details(request)
        pk, table = str(get_object_identifier(row)), view._mapper.local_table.name
        of_row = select(AuditEntry).where(col(AuditEntry.kind) == table, col(AuditEntry.row_id) == pk)
        found = await view._run_query(of_row.order_by(col(AuditEntry.id).desc()).limit(200))
        return await self._page(request, "history", model_view=view, row=words(row), pk=pk, found=found)

    async def confirm(self, request: Request) -> Response:
        """Ask before a custom action: a page of its own, so that it needs no script, and nothing happens by GET."""
        view, slug = self._view(request), request.path_params["slug"]
        label = (view._custom_actions_in_list | view._custom_actions_in_detail).get(slug)
        if label is None:
            raise NotFound
        if not view.is_accessible(request) or not view.has_permission(request, custom_action(slug)):
            raise Forbidden
        async with view.session_maker() as db:
            rows = await view.rows_of(db, _pks(request))
        address = f"{view._url_for_action(request, slug)}?{urlencode({'pks': ','.join(_pks(request))})}"
        question = view._custom_actions_confirmation.get(slug)
        return await self._page(request, "confirm", model_view=view, rows=rows, do=label, to=address, question=question)

    async def delete(self, request: Request) -> Response:
        """Tell what goes with the rows of `?pks=` (GET), then delete them (POST, DELETE), all or none."""
        view, pks = self._view(request), _pks(request)
        rows = await deletable(view, request, pks)
        refusal = None
        if request.method != "GET":
            try:
                await delete_all(view, request, pks)
                return self._deleted(request, view, len(rows))
            except Exception as error:
                refusal = refusal_of(error)
                if request.method == "DELETE" or refusal.status not in ON_THE_FORM:
                    raise
        context = {"rows": rows, "fates": await consequences(view, pks), "refusal": refusal, "do": "Delete"}
        status = refusal.status if refusal else 200
        return await self._page(request, "confirm", status, model_view=view, to=request.url, **context)

    def _deleted(self, request: Request, view: ModelAdmin, number: int) -> Response:
        url, before = request.url_for("admin:list", identity=view.identity), URL(request.headers.get("referer", ""))
        if request.method == "POST":
            return redirect(url.path, flash=f"{number:,} {view.called(number)} deleted.")
        return PlainTextResponse(str(url.replace(query=before.query if before.path == url.path else "")))

    async def import_endpoint(self, request: Request) -> Response:
        """Take a file (GET), show what would come of it (POST), then add or change its rows, all or none."""
        await self._import(request)
        view = self._view(request)
        found = await imported(view, request)
        if found.get("done"):
            lines = found["lines"]
            number, changed = len(lines), sum(not each.new for each in lines)
            here = request.url_for("admin:list", identity=view.identity).path
            known = f", {changed:,} of them known before" if changed else ""
            return redirect(here, flash=f"{number:,} {view.called(number)} imported{known}.")
        status = 422 if "error" in found or any(each.wrong for each in found.get("lines", ())) else 200
        return await self._page(request, "import", status, model_view=view, **found)

    def _view(self, request: Request) -> ModelAdmin:
        view = self._find_model_view(request.path_params["identity"])
        if not isinstance(view, ModelAdmin):
            raise NotFound
        return view

    async def _page(self, request: Request, name: str, status: int = 200, **context: Any) -> Response:
        response: Response = await self.templates.TemplateResponse(request, f"sqladmin/{name}.html", context, status)
        flash.clear(request, response)
        return response


def _pks(request: Request) -> list[str]:
    """The chosen rows: `?pks=1,2` as SQLAdmin asks, or `?pks=1&pks=2` as a form's boxes do."""
    return list(dict.fromkeys(pk for each in request.query_params.getlist("pks") for pk in each.split(",") if pk))


async def _raise(_: Request, error: Exception) -> Response:
    raise error
