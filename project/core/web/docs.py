"""The API docs: Swagger UI from its wheel and a script of ours, so they work offline and under the CSP."""

from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from project.core.web.deps import READING
from project.core.web.once import HEADER
from project.core.web.pages import render
from project.core.web.problems import Problem

PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem document (RFC 9457).",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
KEYED = {
    "name": HEADER,
    "in": "header",
    "description": "Of your own, for whoever is signed in: sent again with it, the same request has no second effect.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
router = APIRouter(include_in_schema=False)


@router.get("/api/docs", name="docs")
async def docs(request: Request) -> Response:
    """The interactive docs."""
    title = f"{request.app.title} API"
    return render(request, "core/api_docs.html", {"title": title, "schema_url": request.app.openapi_url})


@router.get("/docs")
@router.get("/openapi.json")
async def short_address(request: Request) -> Response:
    """The addresses FastAPI users know."""
    return RedirectResponse(f"/api{request.url.path}", 307)


def declare_problems(app: FastAPI) -> None:
    """Let the schema know the problem document and the key that every operation may answer with, or take."""
    generate = app.openapi
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    ours = problem.pop("$defs") | {"Problem": problem}

    def openapi() -> dict[str, Any]:
        document = generate()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {}).update(ours)
        # The core knows no way to sign in; its own operations take those that the apps declare.
        ways: list[dict[str, list[str]]] = [{name: []} for name in parts.get("securitySchemes", {})]
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                if path.startswith(("/api/v1/jobs/", "/api/v1/live/")):
                    operation["security"] = ways
                if path.startswith("/api/v1/") and method.upper() not in READING:
                    told = [each for each in operation.get("parameters", []) if each != KEYED]
                    operation["parameters"] = [*told, KEYED]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
