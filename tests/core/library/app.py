"""The library's plug: its admin.py would be these few lines."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field
from sqladmin import action
from sqlalchemy import update
from sqlmodel import col
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from project.core import AppConfig, Invalid, ModelAdmin
from tests.core.library.models import Author, Genre, Loan, Novel, Review


class NovelForm(BaseModel):
    """What a novel has to be."""

    title: str = Field(min_length=3)


class NovelAdmin(ModelAdmin, model=Novel):
    """Novels."""

    column_list = [Novel.title, Novel.pages, Novel.lent, Novel.mood, Novel.printed_at, Novel.author_id]
    column_searchable_list = [Novel.title]
    column_sortable_list = [Novel.title, Novel.pages]
    schema = NovelForm
    can_import = True

    async def on_model_change(self, data: dict[str, Any], model: Novel, is_created: bool, request: Request) -> None:
        """Nobody may write what is banned."""
        if data["title"] == "banned":
            raise Invalid("Nobody may write this.", field="title")

    @action("shout", "Shout", "Really?")
    async def shout(self, request: Request) -> Response:
        """Titles in capitals."""
        async with self.session_maker() as db:
            for pk in request.query_params["pks"].split(","):
                novel = await db.get_one(Novel, UUID(pk))
                novel.title = novel.title.upper()
            await db.commit()
        return RedirectResponse(request.url_for("admin:list", identity=self.identity))

    @action("empty", "Empty")
    async def empty(self, request: Request) -> Response:
        """No pages, by one statement."""
        async with self.session_maker() as db:
            await db.execute(update(Novel).where(col(Novel.pages) > 0).values(pages=0, api_token="hush-two"))
            await db.commit()
        return RedirectResponse(request.url_for("admin:list", identity=self.identity))


class AuthorAdmin(ModelAdmin, model=Author):
    """Authors."""

    column_list = [Author.name]
    can_import = True


class GenreAdmin(ModelAdmin, model=Genre):
    """Genres."""


class ReviewAdmin(ModelAdmin, model=Review):
    """Reviews, by their ids."""


class LoanAdmin(ModelAdmin, model=Loan):
    """Loans."""


config = AppConfig(
    label="library", title="Library", admin=[NovelAdmin, AuthorAdmin, GenreAdmin, ReviewAdmin, LoanAdmin]
)
