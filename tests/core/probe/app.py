"""An app that does what a framework has to survive: failing commits, races, odd order, bugs."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Request, Response, WebSocket
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from starlette.responses import StreamingResponse

from apps.accounts import CurrentUser
from project.core import (
    DB,
    AppConfig,
    Conflict,
    CurrentRuntime,
    Form,
    ModelAdmin,
    Submitted,
    TooMany,
    enqueue,
    on_commit,
    on_invalid,
    redirect,
    render,
)
from tests.core.probe import forms, jobs, live
from tests.core.probe.keyed import keyed
from tests.core.probe.models import Child, Counter, Note, Page, State

HAPPENED: list[str] = []
api = APIRouter()
api.include_router(live.api)
api.include_router(keyed)
pages = APIRouter()
pages.include_router(forms.pages)
pages.include_router(live.pages)
sockets = APIRouter()
sockets.include_router(live.sockets)


class ChildCreate(BaseModel):
    """A child by its parent's number."""

    parent_id: int = Field(ge=1, title="Parent")
    note: str = Field(default="", max_length=20, title="Note")


@api.post("/children", status_code=201)
async def create_child(data: Annotated[ChildCreate, Body()], db: DB) -> dict[str, int]:
    """Answers 201 before anybody knows whether the commit will work."""

    async def happened() -> None:
        HAPPENED.append("committed")

    on_commit(db, happened)
    db.add(Child(parent_id=data.parent_id))
    return {"parent_id": data.parent_id}


@api.post("/increment")
async def increment(db: DB) -> dict[str, int]:
    """Read, add one, write."""
    counter = (await db.execute(select(Counter).with_for_update())).scalar_one()
    counter.count += 1
    return {"count": counter.count}


@api.post("/jobs", status_code=202)
async def accept(key: str, db: DB, seconds: float = 0) -> dict[str, UUID]:
    """Accept a job that marks its key."""
    return {"id": await enqueue(db, "probe.mark", key=key, seconds=seconds)}


@api.get("/write")
async def write_on_get(db: DB) -> None:
    """A GET that tries to write."""
    db.add(Child(parent_id=1))
    await db.flush()


@api.get("/bug")
async def bug() -> None:
    """A handler with a bug and a secret in it."""
    password = "hunter2-hunter2"
    raise RuntimeError(f"password={password}")


@api.post("/unit")
async def nested_unit(db: DB, runtime: CurrentRuntime) -> None:
    """Opens a second unit of work inside one that has begun."""
    await db.execute(select(func.count()).select_from(Child))
    async with runtime.unit_of_work():
        pass


@api.get("/stream")
async def stream() -> StreamingResponse:
    """An event stream that never ends by itself."""

    async def events() -> AsyncIterator[str]:
        yield f"data: {os.getpid()}\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(events(), media_type="text/event-stream")


@sockets.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    """A socket that stays open."""
    await socket.accept()
    while True:
        await socket.send_text(await socket.receive_text())


@pages.get("/children", name="probe:children")
async def child_form(request: Request) -> Response:
    """The form."""
    return render(request, "probe/child_form.html", {"form": Form(ChildCreate)}, block="form")


@pages.post("/children")
@on_invalid("probe/child_form.html")
async def post_child(data: Submitted[ChildCreate], db: DB) -> Response:
    """The form's answer, sent only when the commit has worked."""
    if data.note == "twin":
        raise Conflict("There is one like this already.", field="note")
    if data.note == "often":
        raise TooMany("Ten a minute are enough.", retry_after=7)
    db.add(Child(parent_id=data.parent_id))
    return redirect("probe:children", flash="Saved.")


@pages.post("/mine")
@on_invalid("probe/child_form.html")
async def form_before_identity(data: Submitted[ChildCreate], user: CurrentUser) -> Response:
    """The form stands before the identity; the identity is asked first all the same."""
    return Response(f"{user.email} {data.parent_id}")


@pages.get("/bug")
async def page_bug() -> Response:
    """A page with a bug."""
    raise RuntimeError("a secret of the page")


def probe_dependency() -> str:
    """Something tests override."""
    return "real"


@api.get("/dependency")
async def dependency(value: Annotated[str, Depends(probe_dependency)]) -> dict[str, Any]:
    """What the dependency gave."""
    return {"value": value}


class ChildAdmin(ModelAdmin, model=Child):
    """Children in the admin."""

    column_list = [Child.id, Child.parent_id]
    form_columns = [Child.parent_id]
    form_include_pk = False


class NoteForm(BaseModel):
    """What a note has to be."""

    body: str = Field(min_length=3)
    state: State


class NoteAdmin(ModelAdmin, model=Note):
    """Notes in the admin."""

    column_list = [Note.id, Note.state]
    form_columns = [Note.body, Note.state]
    schema = NoteForm


class PageAdmin(ModelAdmin, model=Page):
    """Pages, which know their version."""


config = AppConfig(
    label="probe",
    title="Probe",
    api=api,
    pages=pages,
    websockets=sockets,
    admin=[ChildAdmin, NoteAdmin, PageAdmin],
    jobs=jobs.ALL,
)
