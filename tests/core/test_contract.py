"""openapi --check: what breaks a client is named, what is only more is not."""

import copy
from typing import Any

import pytest

from project.core.web.contract import breaking

pytestmark = pytest.mark.any_database
TEA = {
    "type": "object",
    "required": ["id", "title"],
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "title": {"type": "string", "maxLength": 40},
        "state": {"enum": ["hot", "cold"], "type": "string"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Tea"}},
    },
}
REF = {"$ref": "#/components/schemas/Tea"}
OLD: dict[str, Any] = {
    "openapi": "3.1.0",
    "paths": {
        "/teas/{id}": {
            "post": {
                "parameters": [
                    {"in": "path", "name": "id", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "q", "schema": {"type": "string"}},
                ],
                "requestBody": {"content": {"application/json": {"schema": REF}}},
                "responses": {
                    "201": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tea"}}}}
                },
            }
        }
    },
    "components": {"schemas": {"Tea": TEA}},
}
OPERATION = OLD["paths"]["/teas/{id}"]["post"]


def changed(path: str, value: Any) -> dict[str, Any]:
    """The old document with another value there; None takes it away."""
    new = copy.deepcopy(OLD)
    *way, last = path.split("|")
    place: Any = new
    for step in way:
        place = place[int(step) if step.isdigit() and isinstance(place, list) else step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return new


POST = "paths|/teas/{id}|post"
FIELDS = "components|schemas|Tea|properties"


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("paths|/teas/{id}", None, ["POST /teas/{id} is gone."]),
        (f"{POST}|security", [{"bearer": []}], ["it is no longer for anybody"]),
        (f"{POST}|parameters", OPERATION["parameters"][:1], ["parameter q is gone"]),
        (f"{POST}|parameters|1|required", True, ["parameter q is required now"]),
        (f"{POST}|parameters|1|schema", {"type": "integer"}, ["parameter q no longer takes string"]),
        (f"{POST}|requestBody|required", True, ["a body is required now"]),
        (f"{POST}|requestBody|content", {"text/plain": {}}, ["body is no longer application/json"]),
        (f"{POST}|responses", {"200": OPERATION["responses"]["201"]}, ["answer 201 is gone"]),
        ("components|schemas|Tea|required", ["id", "title", "state"], ["body.state is required now"]),
        ("components|schemas|Tea|required", ["id"], ["answer 201.title may be missing now"]),
        (f"{FIELDS}|title", None, ["body.title is gone", "answer 201.title is gone"]),
        (f"{FIELDS}|title|maxLength", 20, ["body.title has a narrower maxLength: 20"]),
        (f"{FIELDS}|title|minLength", 3, ["body.title has a narrower minLength: 3"]),
        (f"{FIELDS}|title|pattern", "^a", ["body.title has another pattern: ^a"]),
        (f"{FIELDS}|id|format", None, ["answer 201.id may now be what is no uuid"]),
        (f"{FIELDS}|state|enum", ["hot"], ["body.state no longer takes 'cold'"]),
        (f"{FIELDS}|state|enum", ["hot", "cold", "iced"], ["answer 201.state may now be 'iced'"]),
        (f"{FIELDS}|state|enum", None, ["answer 201.state may now be any value"]),
        (f"{FIELDS}|note", {"type": "string"}, ["body.note no longer takes null"]),
        (f"{FIELDS}|title|type", ["string", "null"], ["answer 201.title may now be null"]),
        (f"{FIELDS}|parts|items", {"type": "string"}, ["body.parts[] no longer takes object"]),
    ],
)
def test_what_breaks_a_client_is_named(path: str, value: Any, says: list[str]) -> None:
    found = breaking(OLD, changed(path, value))
    for each in says:
        assert any(each in line for line in found), found
    assert all(line.startswith("POST /teas/{id}") for line in found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("paths|/more", {"get": {"responses": {}}}),
        ("paths", {"/teas/{tea_id}": OLD["paths"]["/teas/{id}"]}),
        (f"{POST}|parameters", [*OPERATION["parameters"], {"in": "query", "name": "limit", "schema": {}}]),
        (f"{POST}|operationId", "another"),
        (f"{FIELDS}|more", {"type": "string"}),
        (f"{FIELDS}|title|maxLength", 80),
        (f"{FIELDS}|title|description", "Words."),
    ],
)
def test_what_is_only_more_breaks_nobody(path: str, value: Any) -> None:
    assert breaking(OLD, changed(path, value)) == []
