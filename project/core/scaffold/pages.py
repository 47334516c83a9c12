"""The HTML voice, under /scaffold."""

from fastapi import APIRouter, Request, Response

from apps.accounts import CurrentUser
from project.core import DB, Form, PageNumber, Submitted, on_invalid, redirect, render
from project.core.scaffold import services
from project.core.scaffold.schemas import ThingCreate, ThingId, Wanted
from project.core.web.pages import deleted

router = APIRouter()


@router.get("/things", name="scaffold:list")
async def list_things(request: Request, db: DB, user: CurrentUser, wanted: Wanted, page: PageNumber = 1) -> Response:
    """Their things: searched, filtered, page by page."""
    things = await services.list_things(db, user, wanted.page(page))
    return render(request, "scaffold/thing_list.html", {"things": things, "wanted": wanted}, block="rows")


@router.get("/things/new", name="scaffold:new")
async def new_thing(request: Request, user: CurrentUser) -> Response:
    """The form."""
    return render(request, "scaffold/thing_form.html", {"form": Form(ThingCreate)})


@router.post("/things/new")
@on_invalid("scaffold/thing_form.html")
async def create_thing(data: Submitted[ThingCreate], db: DB, user: CurrentUser) -> Response:
    """Add it."""
    thing = await services.create_thing(db, user, data)
    return redirect("scaffold:detail", thing_id=thing.id, flash="Added.")


@router.get("/things/{thing_id}", name="scaffold:detail")
async def show_thing(request: Request, thing_id: ThingId, db: DB, user: CurrentUser) -> Response:
    """All of it."""
    thing = await services.get_thing(db, user, thing_id)
    return render(request, "scaffold/thing_detail.html", {"thing": thing})


@router.get("/things/{thing_id}/edit", name="scaffold:edit")
async def edit_thing(request: Request, thing_id: ThingId, db: DB, user: CurrentUser) -> Response:
    """The form, filled."""
    thing = await services.get_thing(db, user, thing_id)
    return render(request, "scaffold/thing_form.html", {"form": Form(ThingCreate, thing), "thing_id": thing_id})


@router.post("/things/{thing_id}/edit")
@on_invalid("scaffold/thing_form.html")
async def update_thing(thing_id: ThingId, data: Submitted[ThingCreate], db: DB, user: CurrentUser) -> Response:
    """Save it."""
    await services.update_thing(db, user, thing_id, data.model_dump())
    return redirect("scaffold:detail", thing_id=thing_id, flash="Saved.")


@router.get("/things/{thing_id}/delete", name="scaffold:delete")
async def ask_to_delete(request: Request, thing_id: ThingId, db: DB, user: CurrentUser) -> Response:
    """Ask first, where there is no dialog to do so."""
    thing = await services.get_thing(db, user, thing_id)
    return render(request, "core/delete.html", {"row": thing, "back": request.url_for("scaffold:list")})


@router.post("/things/{thing_id}/delete")
async def delete_thing(request: Request, thing_id: ThingId, db: DB, user: CurrentUser) -> Response:
    """Delete it; htmx takes its row out of the list."""
    await services.delete_thing(db, user, thing_id)
    return deleted(request, "scaffold:list", flash="Deleted.")
