"""The shelf's admin views, one of them careless, and a site that has them."""

import re
from typing import Any
from uuid import UUID

import httpx2
from fastapi import FastAPI
from pydantic import BaseModel, Field as Rule
from sqladmin import BaseView, ModelView, action, expose
from sqladmin.filters import AllUniqueStringValuesFilter, ForeignKeyFilter, OperationColumnFilter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount

from apps.accounts.testing import every
from project.core import Invalid, ModelAdmin
from project.core.admin.site import Site
from project.core.web import problems
from tests.core.shelf.models import Book, Writer

SAVE = {"save": "Save"}
SHELF = every("shelf.book", "shelf.writer")
SECRET_TITLE = "Dune-of-nobody"


class BookForm(BaseModel):
    title: str = Rule(min_length=3)


class BookAdmin(ModelAdmin, model=Book):
    column_list = [Book.title, Book.pages, Book.mood, Book.printed_at, Book.api_token]
    column_searchable_list = [Book.title, Book.api_token, "writer.name"]
    column_sortable_list = [Book.title, Book.api_token]
    column_filters = [
        OperationColumnFilter("pages"),
        OperationColumnFilter("printed_at"),
        ForeignKeyFilter("writer_id", "name", foreign_model=Writer),
        AllUniqueStringValuesFilter("api_token"),
    ]
    schema = BookForm

    async def on_model_change(self, data: dict[str, Any], model: Book, is_created: bool, request: Request) -> None:
        if data["title"] == "broken":
            raise RuntimeError("a bug with its innards")
        if data["title"] == "banned":
            raise Invalid("Nobody may write this.", field="title")

    @action("shout", "Shout", "Really?")
    async def shout(self, request: Request) -> Response:
        async with self.session_maker() as db:
            for pk in request.query_params["pks"].split(","):
                book = await db.get_one(Book, UUID(pk))
                book.title = book.title.upper()
            await db.commit()
        return RedirectResponse(request.url_for("admin:list", identity=self.identity))


class WriterAdmin(ModelView, model=Writer):
    """A view pasted in from SQLAdmin's own docs."""

    column_list = ["name"]
    form_ajax_refs = {"books": {"fields": ("title", "api_token")}}


class CarelessAdmin(ModelAdmin, model=Book):
    """A view that forgets `super()` everywhere, and shows rows by an address of its own."""

    action_permissions = {"publish": "publish"}
    can_import = True

    def is_accessible(self, request: Request) -> bool:
        return True

    async def check_can_list(self, request: Request) -> bool:
        return True

    check_can_create = check_can_export = check_can_import = check_can_list

    async def check_can_edit(self, request: Request, model: Any) -> bool:
        return True

    check_can_delete = check_can_view_details = check_can_edit

    @expose("/report")
    async def report(self, request: Request) -> Response:
        return PlainTextResponse(SECRET_TITLE)

    @action("publish", "Publish")
    async def publish(self, request: Request) -> Response:
        return PlainTextResponse("published")


CarelessAdmin.identity = "careless"


class Figures(BaseView):
    """A page of its own."""

    name = "Figures"

    @expose("/figures", identity="figures")
    async def figures(self, request: Request) -> Response:
        return PlainTextResponse(SECRET_TITLE)


def with_shelf(app: FastAPI) -> FastAPI:
    """The same site with an admin for the tests' own tables."""
    routes = [route for route in app.router.routes if not (isinstance(route, Mount) and route.path == "/admin")]
    site = FastAPI(routes=routes)
    site.user_middleware = app.user_middleware
    site.state = app.state
    problems.install(site)
    admin = Site(site, app.state.runtime)
    for view in (BookAdmin, WriterAdmin, CarelessAdmin, Figures):
        admin.add_view(view, "shelf")
    return site


def alert(answer: httpx2.Response) -> str:
    found = re.search(r'class="alert alert-danger"[^>]*>([^<]*)<', answer.text)
    return found[1] if found else ""
