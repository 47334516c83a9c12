"""The home page."""

from fastapi import APIRouter, Request, Response

from apps.accounts import count_users
from project.core import DB, render

router = APIRouter()


@router.get("/", name="home")
async def home(request: Request, db: DB) -> Response:
    """What this site can do."""
    return render(request, "home.html", {"users": await count_users(db)})
