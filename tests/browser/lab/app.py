"""The form, what it has done, and a gate that lets a test hold an answer back; pages that move by themselves."""

import asyncio
from collections import Counter
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from project.core import (
    DB,
    AppConfig,
    CurrentRuntime,
    Forbidden,
    Form,
    Submitted,
    TooMany,
    enqueue,
    on_commit,
    on_invalid,
    redirect,
    render,
)
from project.core.live import Event, publish, stream
from project.core.templating import render_block
from project.core.web.deps import SignedIn

GRANTED: list[str] = []
GATE = asyncio.Event()
LIKES = Counter[str]()
pages = APIRouter()


class Wish(BaseModel):
    """What the answer shall be."""

    answer: Literal["fine", "forbidden", "too often", "broken"] = Field(default="fine", title="Answer")
    note: str = Field(default="", max_length=40, title="Note")


@pages.get("/wish", name="lab:wish")
async def wish_form(request: Request) -> Response:
    """The form."""
    return render(request, "lab/wish.html", {"form": Form(Wish)})


@pages.post("/wish")
@on_invalid("lab/wish.html")
async def grant(data: Submitted[Wish], db: DB) -> Response:
    """The answer, once the gate is open; granted is what was committed."""
    await GATE.wait()
    match data.answer:
        case "forbidden":
            raise Forbidden("Not for you.")
        case "too often":
            raise TooMany("Ten a minute are enough.", retry_after=7)
        case "broken":
            raise RuntimeError("a bug of the lab")

    async def granted() -> None:
        GRANTED.append(data.note)

    await enqueue(db, "core.sweep")  # any row will do: what is written is written once
    on_commit(db, granted)
    return redirect("lab:wish", flash="Granted.")


@pages.get("/progress", name="lab:progress")
async def progress(request: Request, topic: str = "lab") -> Response:
    """A page that shows how far something is."""
    return render(request, "lab/progress.html", {"topic": topic, "note": "Waiting", "done": 0})


@pages.get("/progress/{topic}/events", name="lab:events")
async def events(request: Request, runtime: CurrentRuntime, topic: str) -> Response:
    """Its stream."""

    async def snapshot() -> list[Event]:
        return [Event("progress", {"note": "Begun", "done": 1})]

    async def show(event: Event) -> str:
        return render_block(request.app.state.templates, "lab/progress.html", "progress", event.data)

    return stream(request, runtime, topic, snapshot=snapshot, render=show, until=lambda event: event.data["done"] == 10)


@pages.get("/likes/{name}", name="lab:likes")
async def likes(request: Request, name: str, _: SignedIn) -> Response:
    """A page with a live block, until there are five."""
    return render(request, "lab/likes.html", {"name": name, "likes": LIKES[name]})


@pages.post("/likes/{name}")
async def like(name: str, db: DB, _: SignedIn) -> Response:
    """One more."""
    LIKES[name] += 1
    await publish(db, f"lab.likes:{name}", Event("liked"))
    return redirect("lab:likes", name=name)


config = AppConfig(label="lab", title="Lab", pages=pages)
