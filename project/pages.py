"""The home page."""

from fastapi import APIRouter, Request, Response

from apps.accounts import figures
from project.core import DB, CurrentRuntime, render

router = APIRouter()


@router.get("/", name="home")
async def home(request: Request, db: DB, runtime: CurrentRuntime) -> Response:
    """What this site can do."""
    return render(request, "home.html", {"figures": await figures(db, runtime)})
