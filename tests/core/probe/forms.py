"""Forms of the probe app: every kind of field, a file, a row that others change too, an effect that must be one."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response, UploadFile
from pydantic import BaseModel, EmailStr, Field, HttpUrl, SecretStr
from sqlalchemy import func, select, text
from sqlmodel import col, select as select_model
from starlette.responses import JSONResponse

from project.core import DB, Form, Submitted, get_or_404, on_invalid, redirect, render
from project.core.web.forms import FileLimits, RowVersion
from tests.core.probe.models import Note, Page, State

RAN: list[str] = []
PICTURE = 20_000
pages = APIRouter()


class Colour(StrEnum):
    """Some colours."""

    RED = "red"
    DARK_BLUE = "dark_blue"


class Everything(BaseModel):
    """One field of each kind."""

    title: str = Field(title="The title", description="Keep it short.", min_length=2, max_length=80)
    email: EmailStr
    password: SecretStr = Field(min_length=8)
    link: HttpUrl | None = None
    phone: str = Field(default="", json_schema_extra={"widget": "tel"})
    count: int = Field(default=3, ge=1, le=9)
    price: float | None = None
    ready: bool = False
    state: State = State.DRAFT
    colour: Colour | None = None
    size: Annotated[Literal["small", "large"], Field(json_schema_extra={"widget": "radio"})] = "small"
    colours: list[Colour] = []
    day: date | None = None
    moment: datetime | None = None
    clock: time | None = None
    lines: list[str] = []
    body: Annotated[str, Field(json_schema_extra={"widget": "textarea"})] = ""


class NoteCreate(BaseModel):
    """A note."""

    body: str = Field(min_length=3, max_length=200)


class PageUpdate(BaseModel):
    """A page's text, and which version of it was shown."""

    body: str = Field(max_length=200)
    version: RowVersion


class PictureCreate(BaseModel):
    """A picture and what it shows."""

    caption: str = Field(min_length=2)
    picture: Annotated[UploadFile, FileLimits(PICTURE, "image/png", "image/gif")]
    more: list[Annotated[UploadFile, FileLimits(100)]] = Field(default=[], max_length=2)


@pages.get("/everything")
async def everything_form(request: Request) -> Response:
    """A form with every kind of field."""
    return render(request, "probe/any_form.html", {"form": Form(Everything)}, block="form")


@pages.post("/everything")
@on_invalid("probe/any_form.html")
async def everything(data: Submitted[Everything]) -> Response:
    """What the server understood."""
    RAN.append("everything")
    return JSONResponse(data.model_dump(mode="json"))


@pages.get("/notes", name="probe:notes")
async def note_form(request: Request) -> Response:
    """A form for a note."""
    return render(request, "probe/any_form.html", {"form": Form(NoteCreate)}, block="form")


@pages.post("/notes")
@on_invalid("probe/any_form.html")
async def create_note(data: Submitted[NoteCreate], db: DB) -> Response:
    """Add a note and go on."""
    RAN.append("note")
    db.add(Note(body=data.body, state=State.DRAFT))
    return redirect("probe:notes", flash="Noted.")


@pages.post("/notes/fragment")
async def note_fragment(request: Request, data: Submitted[NoteCreate], db: DB) -> Response:
    """Add a note and answer with a fragment and a message."""
    db.add(Note(body=data.body, state=State.DRAFT))
    return render(request, "probe/any_form.html", {"form": Form(NoteCreate)}, block="form", flash="Noted <here>.")


@pages.post("/notes/preview")
async def preview(request: Request, data: Submitted[NoteCreate], db: DB) -> Response:
    """Look at what is there, and write nothing."""
    await db.scalars(select(Note.id))
    return render(request, "probe/any_form.html", {"form": Form(NoteCreate, data)}, block="form")


@pages.post("/notes/long")
async def long_answer(data: Submitted[NoteCreate], db: DB, kind: str = "long") -> Response:
    """Add a note and answer with a lot, with something secret, or with nothing at all."""
    db.add(Note(body=data.body, state=State.DRAFT))
    if kind == "secret":
        return Response("Shown once: sk_live_1", headers={"Cache-Control": "no-store"})
    return Response("x" * 70_000 if kind == "long" else "")


@pages.post("/notes/raw")
async def raw_sql(data: Submitted[NoteCreate], db: DB, driver: bool = False) -> Response:
    """Write by SQL as text, and give the connection back too early."""
    statement = text("INSERT INTO probe_note (body, state) VALUES (:body, 'draft')")
    await (await db.connection() if driver else db).execute(statement, {"body": data.body})
    await db.release()
    return redirect("probe:notes")


async def _a_page(db: DB) -> int:
    RAN.append("asked the database")
    return int((await db.execute(select(func.count()).select_from(Note))).scalar_one())


@pages.post("/uploads")
async def upload(data: Submitted[PictureCreate], page: Annotated[int, Depends(_a_page)]) -> Response:
    """A form beside something that comes from the database."""
    return JSONResponse({"notes": page})


@pages.post("/notes/of/{user}")
@on_invalid("probe/any_form.html")
async def note_of(user: str, data: Submitted[NoteCreate]) -> Response:
    """A path parameter called like something that every page knows."""
    return redirect("probe:notes", flash=f"For {user}.")


@pages.post("/plain")
async def plain(db: DB) -> Response:
    """A POST that reads no form of ours."""
    db.add(Note(body="plain", state=State.DRAFT))
    return redirect("probe:notes")


@pages.get("/pages/{page_id}", name="probe:page")
async def page_form(request: Request, page_id: UUID, db: DB) -> Response:
    """A form for a row that others change too."""
    page = await get_or_404(db, select_model(Page).where(col(Page.id) == page_id))
    return render(request, "probe/any_form.html", {"form": Form(PageUpdate, page)}, block="form")


@pages.post("/pages/{page_id}")
@on_invalid("probe/any_form.html")
async def change_page(page_id: UUID, data: Submitted[PageUpdate], db: DB) -> Response:
    """Change it, unless somebody else has."""
    page = await get_or_404(db, select_model(Page).where(col(Page.id) == page_id))
    page.expect(data.version)
    page.body = data.body
    return redirect("probe:page", page_id=page_id, flash="Saved.")


@pages.post("/pictures")
@on_invalid("probe/any_form.html")
async def take_picture(data: Submitted[PictureCreate], db: DB) -> Response:
    """What arrived."""
    content = await data.picture.read()
    db.add(Note(body=content[:1].decode(), state=State.DRAFT))
    told: dict[str, Any] = {"name": data.picture.filename, "size": data.picture.size, "read": len(content)}
    return JSONResponse(told | {"more": [each.size for each in data.more], "caption": data.caption})
