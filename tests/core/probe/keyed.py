"""Routes of a plain APIRouter that write: nothing here knows of `Idempotency-Key`."""

from collections.abc import AsyncIterator
from functools import wraps
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import text

from project.core import DB, Conflict
from tests.core.probe.models import Note, State

RAN: list[str] = []
keyed = APIRouter(prefix="/keyed")


class NoteIn(BaseModel):
    """A note and how it is answered."""

    body: str
    kind: str = ""


class NoteOut(BaseModel):
    """What is told of it."""

    id: int
    body: str


async def found(note_id: int, db: DB) -> Note:
    """The note, or 404."""
    note = await db.get(Note, note_id)
    if note is None:
        raise HTTPException(404, "There is no such note.")
    return note


@keyed.post("/notes", status_code=201)
async def create(data: NoteIn, request: Request, response: Response, db: DB) -> NoteOut:
    """Add a note."""
    RAN.append(data.body)
    note = Note(body=data.body, state=State.DRAFT)
    db.add(note)
    await db.flush()
    response.headers["Location"] = f"{request.url.path}/{note.id}"
    response.headers["X-Told"] = "once"
    if data.kind == "cookie":
        response.set_cookie("handed", "out")
    if data.kind == "secret":
        response.headers["Cache-Control"] = "no-store"
    if data.kind == "refused":
        raise Conflict("Not now.")
    if data.kind == "error":
        response.status_code = 409
    return NoteOut(id=note.id, body="x" * 70_000 if data.kind == "long" else data.body)


@keyed.put("/notes/{note_id}")
@keyed.patch("/notes/{note_id}", name="amend")
def change(data: NoteIn, note: Annotated[Note, Depends(found)]) -> NoteOut:
    """Add to a note."""
    note.body += data.body
    return NoteOut(id=note.id, body=note.body)


@keyed.delete("/notes/{note_id}", status_code=204)
async def remove(note: Annotated[Note, Depends(found)], db: DB) -> None:
    """Remove a note."""
    await db.delete(note)


@keyed.post("/streamed")
async def streamed(db: DB) -> StreamingResponse:
    """Write, and answer bit by bit."""
    await _write(db)

    async def bits() -> AsyncIterator[str]:
        yield "a bit"

    return StreamingResponse(bits())


def traced(endpoint: Any) -> Any:
    """A decorator that is no coroutine itself, as people write them."""

    @wraps(endpoint)
    def calling(*given: Any, **named: Any) -> Any:
        RAN.append(endpoint.__name__)
        return endpoint(*given, **named)

    return calling


class Callable:
    """An endpoint that is an object."""

    async def __call__(self, db: DB) -> dict[str, str]:
        """Write."""
        await _write(db)
        return {"from": "an object"}


keyed.post("/object")(Callable())


@keyed.post("/traced")
@traced
async def decorated(_request: Request, db: DB) -> dict[str, str]:
    """Write, decorated, with a request of its own."""
    await _write(db)
    return {"from": _request.url.path}


async def _seen(db: DB) -> None:
    await db.get(Note, 1)


@keyed.post("/gated", dependencies=[Depends(_seen)])
async def gated(db: DB) -> dict[str, int]:
    """Write, after a dependency of the route has read."""
    await _write(db)
    return {"gated": 1}


@keyed.post("/looked")
async def looked(db: DB) -> dict[str, int]:
    """Write nothing."""
    await db.get(Note, 1)
    return {"looked": 1}


@keyed.post("/forms")
async def take_form(title: Annotated[str, Form()], content: Annotated[bytes, File()], db: DB) -> dict[str, str]:
    """Take a form with a file."""
    await _write(db)
    return {"title": title, "content": content.decode()}


@keyed.post("/raw")
async def take_raw(request: Request, db: DB) -> dict[str, int]:
    """Read the body by itself."""
    await _write(db)
    return {"size": sum([len(part) async for part in request.stream()])}


async def _write(db: DB) -> None:
    await db.execute(text("INSERT INTO probe_note (body, state) VALUES ('raw', 'draft')"))
