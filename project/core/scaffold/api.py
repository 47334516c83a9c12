"""The JSON voice, under /api/v1/scaffold."""

from fastapi import APIRouter, Request, Response, status

from apps.accounts import CurrentUser
from project.core import DB, Page
from project.core.scaffold import services
from project.core.scaffold.schemas import ThingCreate, ThingId, ThingRead, ThingUpdate, Wanted

router = APIRouter()


@router.get("/things")
async def list_things(
    request: Request, response: Response, db: DB, user: CurrentUser, wanted: Wanted
) -> Page[ThingRead]:
    """List your things."""
    found = await services.list_things(db, user, wanted)
    return Page[ThingRead].of(found, ThingRead.model_validate, request, response)


@router.post("/things", status_code=status.HTTP_201_CREATED)
async def create_thing(data: ThingCreate, request: Request, response: Response, db: DB, user: CurrentUser) -> ThingRead:
    """Add a thing."""
    thing = await services.create_thing(db, user, data)
    response.headers["Location"] = f"{request.url.path}/{thing.id}"
    return ThingRead.model_validate(thing)


@router.get("/things/{thing_id}")
async def get_thing(thing_id: ThingId, db: DB, user: CurrentUser) -> ThingRead:
    """Show a thing of yours."""
    return ThingRead.model_validate(await services.get_thing(db, user, thing_id))


@router.patch("/things/{thing_id}")
async def update_thing(thing_id: ThingId, data: ThingUpdate, db: DB, user: CurrentUser) -> ThingRead:
    """Change a thing of yours."""
    thing = await services.update_thing(db, user, thing_id, data.model_dump(exclude_unset=True))
    return ThingRead.model_validate(thing)


@router.delete("/things/{thing_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_thing(thing_id: ThingId, db: DB, user: CurrentUser) -> None:
    """Delete a thing of yours."""
    await services.delete_thing(db, user, thing_id)
