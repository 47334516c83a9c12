"""The API's manners, read from the document that describes it: what one operation promises, all keep."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel

from project.core.asgi import create_app
from project.core.conf import ROOT
from project.core.testing.plugin import MakeSettings, NewClient, running
from tests import walks

PUBLIC = {
    "POST /api/v1/accounts/users",
    "POST /api/v1/accounts/login",
    "POST /api/v1/accounts/token",
    "POST /api/v1/accounts/token/refresh",
    "POST /api/v1/accounts/token/revoke",
    "POST /api/v1/accounts/verify/request",
    "POST /api/v1/accounts/verify/confirm",
    "POST /api/v1/accounts/password/forgot",
    "POST /api/v1/accounts/password/reset",
    "POST /api/v1/accounts/email/confirm",
    *(name for name in walks.PUBLIC if "/api/" in name),
}
"""The operations that answer strangers. Whoever adds one, here or in walks.py, has thought about who may call it."""

SHIPPED = walks.WALKED
"""The apps that keep these manners: those that tell the walks of theirs."""

VOICES = [path for app in SHIPPED if (path := ROOT / app.replace(".", "/") / "api.py").exists()]

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
EXACT_FORMATS = {"uuid", "date", "date-time", "time"}
UUID = "0197a0b0-0000-7000-8000-000000000000"
DOCS = ["/api/docs", "/api/openapi.json", "/docs", "/openapi.json"]


@pytest.fixture(scope="module")
def site(make_settings: MakeSettings) -> FastAPI:
    return create_app(make_settings(INSTALLED_APPS=SHIPPED))


@pytest.fixture(scope="module")
def document(site: FastAPI) -> Json:
    return site.openapi()


@pytest.fixture(scope="module")
def operations(document: Json) -> dict[str, Json]:
    """Each operation under its name, such as "GET /api/v1/accounts/me"."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def test_every_operation_stands_under_its_app_with_one_tag_and_words(operations: dict[str, Json]) -> None:
    assert operations
    for name, operation in operations.items():
        label = re.fullmatch(r"[A-Z]+ /api/v1/([a-z_]+)(/.*)?", name)
        assert label, f"{name} does not stand under /api/v1/<app>"
        assert operation["tags"][0] == label[1], name
        assert operation.get("summary"), f"{name} has no summary"
        assert operation.get("description"), f"{name} has no docstring"


def test_operation_ids_are_clean_and_unique(operations: dict[str, Json]) -> None:
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)
    for name, operation in operations.items():
        assert re.fullmatch(rf"{operation['tags'][0]}_[a-z0-9_]+", operation["operationId"]), name


def test_every_success_has_a_response_model(operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        success = {code: spec for code, spec in operation["responses"].items() if code.startswith("2")}
        assert success, f"{name} names no success"
        for code, spec in success.items():
            schemas = [content.get("schema") for content in spec.get("content", {}).values()]
            assert (schemas == []) == (code == "204"), f"{name}: {code} needs a response model"
            assert all(schemas), f"{name}: {code} needs a response model"


def test_every_operation_declares_its_problems(operations: dict[str, Json], document: Json) -> None:
    for name, operation in operations.items():
        content = operation["responses"]["default"]["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, name
        assert "422" not in operation["responses"], f"{name} declares FastAPI's own 422, which is never sent"
    assert {"title", "status", "detail", "code", "request_id"} <= set(
        document["components"]["schemas"]["Problem"]["required"]
    )


def test_every_parameter_is_described_and_bounded(operations: dict[str, Json]) -> None:
    for name, operation in operations.items():
        for parameter in operation.get("parameters", []):
            where = f"{name}: {parameter['in']} {parameter['name']}"
            assert parameter.get("description"), f"{where} is not described"
            assert unbounded(parameter["schema"]) == [], f"{where} is not bounded"


def test_every_request_body_is_described_and_bounded(operations: dict[str, Json], document: Json) -> None:
    faults = [
        f"{name}: {fault}"
        for name, operation in operations.items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for fault in body_faults(content["schema"], document)
    ]
    assert not faults, "\n".join(faults)


def test_every_field_of_a_request_body_is_described(site: FastAPI) -> None:
    """Read from the models: in the document a field without words has its name for a title."""
    bodies = [
        route.body_field.field_info.annotation
        for route in iter_route_contexts(site.routes)
        if getattr(route, "include_in_schema", False) and getattr(route, "body_field", None)
    ]
    assert bodies
    faults = {fault for body in bodies for fault in faulty(body)}
    assert not faults, "\n".join(sorted(faults))


def test_lists_take_limit_and_offset_and_say_where_they_stand(operations: dict[str, Json], document: Json) -> None:
    lists = {name: operation for name, operation in operations.items() if is_list(operation, document)}
    assert "GET /api/v1/accounts/users" in lists
    for name, operation in lists.items():
        parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
        limit, offset = parameters["limit"], parameters["offset"]
        assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 100, 10), name
        assert (offset["minimum"], offset["default"]) == (0, 0), name


def test_no_schema_shows_a_hash(document: Json) -> None:
    names = [
        f"{title}.{name}"
        for title, schema in document["components"]["schemas"].items()
        for name in schema.get("properties", {})
    ]
    assert names
    assert [name for name in names if re.search(r"hash|secret_key", name.rpartition(".")[2])] == []


def test_only_the_listed_operations_are_public(operations: dict[str, Json]) -> None:
    assert {name for name, operation in operations.items() if not operation.get("security")} == PUBLIC


async def test_strangers_are_refused_by_every_other_operation(
    client: httpx2.AsyncClient, operations: dict[str, Json]
) -> None:
    for name in sorted(operations.keys() - PUBLIC):
        method, path = name.split()
        answer = await client.request(method, re.sub(r"{[^}]*}", UUID, path))
        assert answer.status_code in (401, 403, 404), f"{name} answered a stranger with {answer.status_code}"
        assert answer.headers["content-type"] == "application/problem+json", name


def test_the_document_names_no_host(document: Json) -> None:
    text = str(document)
    assert "servers" not in document
    assert re.findall(r"https?://(?!example\.(?:com|org|net)\b)[^\s'\"]+", text) == []
    assert "127.0.0.1" not in text


@pytest.mark.parametrize("path", VOICES, ids=str)
def test_statuses_are_written_by_name(path: Any) -> None:
    bare = [number.lineno for node in ast.walk(ast.parse(path.read_text())) for number in statuses(node)]
    assert bare == [], f"{path.relative_to(ROOT)}: write status.HTTP_… in lines {bare}"


def test_the_status_check_finds_bare_numbers() -> None:
    source = 'get(status_code=201, responses={404: 1})\nresponse.status_code = 202\nHTTPException(400, "x")'
    assert sum(len(list(statuses(node))) for node in ast.walk(ast.parse(source))) == 4


@pytest.fixture(scope="module")
async def open_site(make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    async with running(make_settings(API_DOCS=True)) as app:
        yield app


async def test_the_docs_load_from_this_site_only(open_site: FastAPI, new_client: NewClient) -> None:
    client = new_client(open_site)
    answer = await client.get("/api/docs")
    assert answer.status_code == 200
    links = re.findall(r'\b(?:src|href)="([^"]*)"', answer.text)
    assert any("swagger" in link for link in links)
    for link in links:
        assert re.match(r"/(?!/)", link), f"{link} is not on this site"
        assert (await client.get(link)).status_code == 200, link


async def test_the_docs_work_under_the_content_security_policy(open_site: FastAPI, new_client: NewClient) -> None:
    client = new_client(open_site)
    answer = await client.get("/api/docs")
    assert "script-src 'self';" in answer.headers["content-security-policy"]
    scripts = re.findall(r"<script\b([^>]*)>", answer.text)
    assert all("src=" in script for script in scripts)
    assert re.search(r"\son\w+=", answer.text) is None
    for script in scripts:
        source = re.findall(r'src="([^"]+)"', script)[0]
        assert "javascript" in (await client.get(source)).headers["content-type"]


async def test_the_usual_addresses_lead_to_the_docs(open_site: FastAPI, new_client: NewClient) -> None:
    client = new_client(open_site)
    for short, full in (("/docs", "/api/docs"), ("/openapi.json", "/api/openapi.json")):
        answer = await client.get(short)
        assert (answer.status_code, answer.headers["location"]) == (307, full)
        assert (await client.get(full)).status_code == 200


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"API_DOCS": False, "DEBUG": False}, 404),
        ({"API_DOCS": None, "DEBUG": False}, 404),
        ({"API_DOCS": False, "DEBUG": True}, 404),
        ({"API_DOCS": None, "DEBUG": True}, 200),
    ],
)
async def test_the_docs_are_closed_in_production_unless_opened(
    make_settings: MakeSettings, new_client: NewClient, values: dict[str, object], status: int
) -> None:
    async with running(make_settings(**values)) as app:
        client = new_client(app)
        answers = [(await client.get(path, follow_redirects=True)).status_code for path in DOCS]
    assert answers == [status] * len(DOCS)


def unbounded(schema: Json) -> list[str]:
    """The kinds in a schema that may grow without end."""
    kind = schema.get("type")
    if "enum" in schema or "const" in schema:
        return []
    if kind == "string":
        exact = schema.get("format") in EXACT_FORMATS
        return [] if exact or "maxLength" in schema else ["string"]
    if kind in ("integer", "number"):
        low = schema.keys() & {"minimum", "exclusiveMinimum"}
        high = schema.keys() & {"maximum", "exclusiveMaximum"}
        return [] if low and high else [kind]
    if {"number", "string"} <= {each.get("type") for each in schema.get("anyOf", [])}:
        return []  # a Decimal, whose bounds stand in its model: see `faulty`
    if kind == "array":
        return (["array"] if "maxItems" not in schema else []) + unbounded(schema["items"])
    return [fault for each in schema.get("anyOf", []) for fault in unbounded(each)]


def body_faults(schema: Json, document: Json, where: str = "body") -> Iterator[str]:
    """What a body's schema leaves without words as a whole or without bounds, nested schemas too."""
    if "$ref" in schema:
        title = schema["$ref"].rpartition("/")[2]
        target = document["components"]["schemas"][title]
        put_together = title.startswith("Body_")  # by FastAPI, from single form fields; it takes no words
        if not (put_together or schema.get("description") or target.get("description")):
            yield f"{title} is not described"
        for name, spec in target.get("properties", {}).items():
            yield from body_faults(spec, document, f"{title}.{name}")
        return
    yield from (f"{where} has an unbounded {kind}" for kind in unbounded(schema))
    for nested in [*schema.get("anyOf", []), schema.get("items", {})]:
        if "$ref" in nested:
            yield from body_faults(nested, document, where)


def faulty(annotation: Any) -> Iterator[str]:
    """The fields of a model, nested models too, that have no words of their own, and Decimals of any length."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            endless = "Decimal" in str(field.annotation) and "max_digits" not in str(field.metadata)
            if endless or not (field.title or field.description):
                yield f"{annotation.__name__}.{name}"
            yield from faulty(field.annotation)
    for part in get_args(annotation):
        yield from faulty(part)


def is_list(operation: Json, document: Json) -> bool:
    """True when the success is a list or a page of one."""
    schema = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    if schema and "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return bool(schema) and (schema.get("type") == "array" or "items" in schema.get("properties", {}))


def statuses(node: ast.AST) -> Iterator[ast.expr]:
    """The bare numbers that a piece of source uses as HTTP statuses."""
    found: list[ast.expr] = []
    match node:
        case ast.Call(func=function, args=args, keywords=keywords):
            for keyword in keywords:
                if keyword.arg == "status_code":
                    found.append(keyword.value)
                elif keyword.arg == "responses" and isinstance(keyword.value, ast.Dict):
                    found.extend(key for key in keyword.value.keys if key)
            if ast.unparse(function).endswith("HTTPException"):
                found.extend(args[:1])
        case ast.Assign(targets=[ast.Attribute(attr="status_code")], value=value):
            found.append(value)
    yield from (each for each in found if isinstance(each, ast.Constant) and isinstance(each.value, int))
