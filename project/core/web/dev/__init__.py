"""Development only: what stands under /_dev while DEBUG is on, and is not there otherwise."""

from fastapi import APIRouter

from project.core.web.dev import reload

router = APIRouter(prefix="/_dev", include_in_schema=False)
for part in (reload,):
    router.include_router(part.router)
