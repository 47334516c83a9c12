"""The API docs: Swagger UI from its wheel and a script of ours, so they work offline and under the CSP."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from project.core.web.pages import render
from project.core.web.problems import Problem

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457).",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
router = APIRouter(include_in_schema=False)


@router.get("/api/docs", name="docs")
async def docs(request: Request) -> Response:
    """The interactive docs."""
    title = f"{request.app.title} API"
    return render(request, "core/api_docs.html", {"title": title, "schema_url": request.app.openapi_url})


@router.get("/docs")
async def short_docs() -> Response:
    """The address FastAPI users know."""
    return RedirectResponse("/api/docs", 307)


@router.get("/openapi.json")
async def short_schema() -> Response:
    """The address FastAPI users know."""
    return RedirectResponse("/api/openapi.json", 307)


def declare_problems(app: FastAPI) -> None:
    """Let the schema know the problem document that every operation may answer with."""
    generate = app.openapi

    def openapi() -> dict[str, object]:
        if app.openapi_schema is None:
            document = generate()
            definition = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(definition.pop("$defs"))
            schemas["Problem"] = definition
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
