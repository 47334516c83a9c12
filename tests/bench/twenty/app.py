"""What the benchmark adds to the site: a route that reads twenty rows one by one; and pages of a hundred rows."""

from random import randint
from uuid import UUID

from fastapi import APIRouter

from apps.accounts import CurrentUser
from project.core import DB, AppConfig
from project.core.scaffold import services
from project.core.scaffold.schemas import ThingRead
from project.core.web import lists

lists.SIZE = 100  # W5 is a page of a hundred rows
router = APIRouter()


@router.get("/twenty")
async def read_twenty(db: DB, user: CurrentUser) -> list[ThingRead]:
    """Read twenty things of yours, each by its id."""
    found = [await services.get_thing(db, user, UUID(int=randint(1, 100))) for _ in range(20)]
    return [ThingRead.model_validate(each) for each in found]


config = AppConfig(label="twenty", api=router)
