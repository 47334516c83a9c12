"""The gallery at /_dev/ui: every macro, drawn by itself, with stateless endpoints for those that ask the server."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path as PathParameter, UploadFile
from pydantic import BaseModel, EmailStr, Field, HttpUrl, SecretStr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from project.core.db.models import now
from project.core.db.queries import Slice
from project.core.errors import FieldError
from project.core.jobs import Job, State
from project.core.live import Event, stream
from project.core.web.deps import CurrentRuntime
from project.core.web.error_pages import on_invalid
from project.core.web.forms import FileLimits, Form, Submitted
from project.core.web.htmx import is_htmx
from project.core.web.jobs import JobRead
from project.core.web.pages import render
from project.core.web.redirects import redirect

TEMPLATE = "core/dev/ui.html"
CITIES = """
Amsterdam Antwerp Athens Barcelona Berlin Bern Bologna Bordeaux Bremen Brussels Budapest Cologne Copenhagen Cork
Dublin Edinburgh Florence Geneva Ghent Glasgow Gothenburg Hamburg Helsinki Krakow Lisbon Ljubljana London Lyon Madrid
Manchester Marseille Milan Munich Naples Oslo Palermo Paris Porto Prague Riga Rome Rotterdam Salzburg Seville Sofia
Stockholm Tallinn Turin Utrecht Valencia Venice Verona Vienna Vilnius Warsaw York Zagreb Zaragoza Zurich Zwolle
""".split()  # noqa: SIM905 - as a list, they would fill the screen
JOBS: list[dict[str, Any]] = [  # none that could be cancelled here
    {"state": State.RUNNING, "done": 18, "note": "Sending pages", "cancel_asked": True},
    {"state": State.DONE, "done": 60},
    {"state": State.DEAD, "done": 44, "error": "The address does not exist."},
]
ROWS, TITLE = 12, "Quarterly plan"
router = APIRouter(prefix="/_dev/ui")


class Sample(BaseModel):
    """One field of each kind."""

    name: str = Field(title="Name", description="As it shall appear.", min_length=2, max_length=40)
    email: EmailStr = Field(title="E-mail")
    password: SecretStr = Field(title="Password", description="At least 8 characters.", min_length=8)
    seats: int = Field(default=2, title="Seats", ge=1, le=9)
    plan: Literal["free", "team", "company"] = Field(default="team", title="Plan")
    size: Literal["small", "large"] = Field(default="small", title="Size", json_schema_extra={"widget": "radio"})
    topics: list[Literal["design", "code", "writing"]] = Field(default=["code"], title="Topics")
    day: date | None = Field(default=None, title="First day")
    hour: time | None = Field(default=None, title="Best time")
    moment: datetime | None = Field(default=None, title="Deadline")
    site: HttpUrl | None = Field(default=None, title="Web site")
    phone: str = Field(default="", title="Telephone", json_schema_extra={"widget": "tel"})
    lines: list[str] = Field(default=[], title="Addresses", description="One per line.")
    about: str = Field(default="", title="About", max_length=400, json_schema_extra={"widget": "textarea", "rows": 3})
    paper: Annotated[UploadFile, FileLimits(2_000_000, "application/pdf")] | None = Field(default=None, title="Paper")
    terms: bool = Field(default=False, title="I have read the terms", description="There are none.")


class Bare(BaseModel):
    """Fields that are drawn only."""

    nickname: str = Field(default="", title="Nickname", description="Only if you like.")
    news: bool = Field(default=True, title="Send me news")


class Rename(BaseModel):
    """The value that is changed in place."""

    title: str = Field(title="Title", min_length=3, max_length=40)


class Broken(Rename):
    """The same, shown with an error."""


def _job(**values: Any) -> JobRead:
    return JobRead.model_validate(Job(name="demo.export", created_at=now(), total=60, **values))


async def beginning(request: Request) -> dict[str, Any]:
    """What the gallery shows at first."""
    return {
        "sample": Form(Sample, action="/_dev/ui/form"),
        "bare": Form(Bare),
        "broken": Form(Broken, {"title": "Q"}, [FieldError("title", "too_short", "Use at least 3 characters.")]),
        "rename": Form(Rename, {"title": TITLE}),
        "value": TITLE,
        "editing": False,
        "cities": CITIES[:6],
        "q": "",
        "rows": CITIES[:ROWS],
        "page": 1,
        "tab": "overview",
        "part": Slice(items=[], total=len(CITIES), limit=ROWS, offset=ROWS),
        "joined": [now() - timedelta(minutes=3**power) for power in (1, 5, 9)],
        "jobs": [_job(**each) for each in JOBS],
        "asked": "",
        "saved": "",
    }


async def gallery(request: Request, block: str | None = None, **shown: Any) -> Response:
    """The whole gallery, or one of its demos for htmx; `shown` is what differs from the beginning."""
    return render(request, TEMPLATE, await beginning(request) | shown, block=block)


@router.get("", name="dev:ui")
async def show(request: Request) -> Response:
    """All of it."""
    return await gallery(request)


@router.get("/search", name="dev:search")
async def search(request: Request, q: str = "") -> Response:
    """The cities whose name has these letters."""
    found = [city for city in CITIES if q.lower() in city.lower()]
    return await gallery(request, "results", cities=found[:6], q=q)


@router.get("/rows", name="dev:rows")
async def rows(request: Request, page: int = 1) -> Response:
    """A part of the list that goes on."""
    return await gallery(request, "rows", rows=CITIES[(page - 1) * ROWS : page * ROWS], page=page)


@router.get("/tabs/{tab}", name="dev:tab")
async def tabs(request: Request, tab: Literal["overview", "members", "billing"]) -> Response:
    """One tab."""
    return await gallery(request, "tabs", tab=tab)


@router.get("/title", name="dev:title")
async def title(request: Request, edit: bool = False) -> Response:
    """The value, or the form that changes it."""
    return await gallery(request, "editable", editing=edit)


@router.post("/title")
@on_invalid(TEMPLATE, block="editable", context=beginning)
async def retitle(request: Request, data: Submitted[Rename]) -> Response:
    """Say the new value; nothing is kept."""
    return await gallery(request, "editable", value=data.title)


@router.get("/rows/{city}/delete", name="dev:delete")
async def ask(request: Request, city: str) -> Response:
    """The question that stands in the dialog where there is JavaScript."""
    return await gallery(request, asked=city)


@router.post("/rows/{city}/delete")
async def delete(request: Request, city: str) -> Response:
    """Nothing, which is what is left of the row."""
    return Response() if is_htmx(request) else redirect("dev:ui", flash=f"{city} is deleted, or would be.")


def _told(data: Sample) -> str:
    return f"{data.name}, with {data.paper.filename} of {data.paper.size:,} bytes" if data.paper else data.name


@router.post("/form", name="dev:form")
@on_invalid(TEMPLATE, block="sample", context=beginning)
async def send(request: Request, data: Submitted[Sample]) -> Response:
    """Say that all is well."""
    return await gallery(request, "sample", saved=_told(data), sample=Form(Sample, data, action="/_dev/ui/form"))


@router.get("/streams/{topic}", name="dev:stream")
async def follow(request: Request, runtime: CurrentRuntime, topic: str) -> Response:
    """A stream that says one thing and ends."""

    async def snapshot() -> list[Event]:
        return [Event("said", "This came by a stream.")]

    return stream(request, runtime, topic, snapshot=snapshot, render=_said, until=lambda _: True)


async def _said(event: Event) -> str:
    return f"<p>{event.data}</p>"


@router.get("/errors/{status}", name="dev:error")
async def error(status: Annotated[int, PathParameter(ge=400, le=599)]) -> Response:
    """The page of an error."""
    raise HTTPException(status, headers={"Retry-After": "30"} if status in (429, 503) else None)
