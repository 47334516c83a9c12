"""Nobody sets by the way what they were not asked for: every column's name, sent to everything that writes.

Each operation of the API and each form is sent as it should be, and with all that it does not ask for, each time in
the same state of the database. The rows have to come out the same.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any
from unittest.mock import Mock, patch
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI
from sqlmodel import select
from starlette.requests import HTTPConnection

from apps.accounts.models import Group, User
from apps.accounts.refresh import open_family
from apps.accounts.testing import PASSWORD, add_user, every, links_for, sign_in_as
from project.core.asgi import create_app
from project.core.db.models import metadata
from project.core.testing.crawler import VALID, Crawler
from project.core.testing.databases import rolled_back
from project.core.testing.pages import Page
from project.core.testing.plugin import MakeSettings, NewClient
from project.core.testing.rows import Rows, as_text, read
from project.core.web.limits import Limiter
from tests import walks
from tests.test_crawler import VALUES

Json = dict[str, Any]
Fresh = tuple[httpx2.AsyncClient, User, dict[str, str]]  # a client, whose it is, ids of their rows
MARK = "smuggled-in"
MARKED_ID = UUID("dead0000-0000-7000-8000-00000000beef")
MARKED_NUMBER = 987654321
MARKED_TIME = "1999-12-31T23:59:59Z"
MARKS = (MARK, str(MARKED_ID), MARKED_ID.hex, str(MARKED_NUMBER), "1999-12-31")
TOLD = tuple(f"{name}_" for name in ("core", "accounts", *walks.TOLD))
TABLES = sorted(name for name in metadata.tables if name.startswith(TOLD))
NAMES = {
    *(column.name for name in TABLES for column in metadata.tables[name].columns),
    *("role", "roles", "admin", "is_admin", "groups", "group", "members", "permissions", "scopes", "membership"),
    *("password_hash", "verified", "superuser", "staff", "active", "owner", "user", "pk", "_id"),
    *("__class__", "__init__", "__dict__", "_sa_instance_state", "model_fields_set", "__proto__", "constructor"),
}
ACTIVE = r"is_|verified|superuser|staff|active|admin|cancel_asked|removed"
COUNTED = r"version|total|done|failed|attempt|number|size|failures|deaths|elapsed|latest|position"
EXAMPLES = {  # of what operations ask for
    "current_password": PASSWORD,
    "new_password": "quite another long password",
    "email": "new@example.com",
    "new_email": "newer@example.com",
    "username": "ann@example.com",
    "password": PASSWORD,
    "name": "Ann",
    "refresh_token": "upr_x.y",
    "token": "upr_x.y",
    "scopes": ["read"],
    "expires_in_days": 30,
}
ELSEWHERE = {"/api/v1/accounts/login": {"email": "ann@example.com"}}  # where it has to be another one
LINKS = {  # which link's token an operation takes
    "/api/v1/accounts/verify/confirm": "/accounts/verify",
    "/api/v1/accounts/password/reset": "/accounts/reset",
    "/api/v1/accounts/email/confirm": "/accounts/email/confirm",
}
KEPT = {"remember", "next"}  # fields of forms that are left out where they are empty


def wished(name: str) -> Any:
    """What an attacker would like to see there."""
    if re.search(r"(^|_)id$|owner|^pk$", name):
        return str(MARKED_ID)
    if re.search(r"_at$|until", name):
        return MARKED_TIME
    if re.search(COUNTED, name):
        return MARKED_NUMBER
    if re.match(ACTIVE, name):
        return True
    if re.search(r"groups?|members|permissions|roles|scopes", name):
        return [MARK, "accounts.user.delete"]
    return f"{MARK}@example.com" if "email" in name else MARK


def smuggled(asked: set[str]) -> Json:
    """Every name that is not asked for, and other spellings of it."""
    found = {name: wished(name) for name in sorted(NAMES - asked)}
    spelled: Json = {}
    for name, value in found.items():
        camel = re.sub(r"_(\w)", lambda part: part[1].upper(), name)
        others = {camel, name.replace("_", "-"), name.upper(), f"user.{name}", f"user[{name}]", f"{name}[]"}
        spelled |= dict.fromkeys(others - asked, value)
    return spelled | found


def in_json(valid: Json, more: Json) -> Iterator[tuple[str, str]]:
    """The same body with more in it."""
    nested = {key: more for key in ("user", "data", "__class__", "owner", "object", "attributes") if key not in valid}
    doubled = ", ".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in [*more.items()] * 2)
    yield "beside", json.dumps(more | valid)
    yield "nested", json.dumps(nested | valid)
    yield "twice", f"{{{doubled}, {json.dumps(valid)[1:]}"
    yield "in a list", json.dumps([more | valid])
    yield "in each field", json.dumps({key: [value, more] for key, value in valid.items()} | more)
    yield "in its class", json.dumps(valid | {"__class__": {"__init__": {"__globals__": more}}, "__dict__": more})


async def add_rows(app: FastAPI, owner: User) -> dict[str, str]:
    """{name of an id: id} of a row of theirs in each app, with the same ids each time, so that addresses stay."""
    clock, chance = Mock(time_ns=Mock(return_value=0)), Mock(randbits=Mock(side_effect=count(1)))
    with patch.multiple("project.core.db.models", time=clock, secrets=chance):
        async with app.state.runtime.unit_of_work() as db:
            return {name: str(await add(db, owner)) for name, add in walks.ROWS.items()}


@asynccontextmanager
async def fresh(app: FastAPI, new_client: NewClient, member: bool) -> AsyncIterator[Fresh]:
    """A client in a state of the database that is rolled back, and Ann, whom it belongs to if she is signed in."""
    async with rolled_back(app.state.runtime.database):
        app.state.limiter = Limiter()
        client, ann = new_client(app), await add_user(app)
        await add_user(app, "bob@example.com")
        if member:
            await sign_in_as(client, app, ann)
        yield client, ann, await add_rows(app, ann)


async def snapshot(app: FastAPI) -> tuple[Rows, str]:
    """The rows to be compared, and all that they hold to be searched."""
    found = await read(app.state.runtime.database)
    held = [str(value) for rows in found.values() for row in rows for value in row.values()]
    return as_text(found, set()), " ".join(held)


def operations(app: FastAPI) -> Iterator[tuple[str, str, set[str], list[str], bool, bool]]:
    """(method, path, names asked for, those required, whether it is a form, whether somebody signs in)."""
    document = app.openapi()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                named = content["schema"].get("$ref", "").rpartition("/")[2]
                schema = document["components"]["schemas"][named] if named else content["schema"]
                asked, required = set(schema["properties"]), schema.get("required", [])
                yield method, path, asked, required, "form" in kind, bool(operation.get("security"))


async def example(app: FastAPI, ann: User, path: str, asked: set[str], required: list[str]) -> Json:
    """A body that the operation takes."""
    examples = EXAMPLES | ELSEWHERE.get(path, {}) | walks.example_of(path)
    found = {name: value for name, value in examples.items() if name in asked}
    if path in LINKS:
        found["token"] = (await links_for(app, ann))[LINKS[path]].partition("token=")[2]
    if path == "/api/v1/accounts/token/refresh":
        conn = HTTPConnection({"type": "http", "headers": [], "client": ("127.0.0.1", 1)})
        async with app.state.runtime.unit_of_work() as db:
            found["refresh_token"] = (await open_family(db, app.state.runtime, conn, ann)).refresh
    assert found.keys() >= set(required), f"tell EXAMPLES, or the app's walks.py, what {path} takes"
    return found


def attacks(valid: Json, asked: set[str], as_form: bool) -> Iterator[tuple[str, Json]]:
    """The ways to send more than is asked for, as arguments of a request."""
    more = smuggled(asked)
    flat = {key: value if isinstance(value, str) else json.dumps(value) for key, value in more.items()}
    yield "in the address", {"data" if as_form else "json": valid, "params": flat}
    if as_form:
        yield "in the form", {"data": flat | valid}
    else:
        for way, body in in_json(valid, more):
            yield way, {"content": body, "headers": {"Content-Type": "application/json"}}


@pytest.mark.any_database
async def test_no_operation_of_the_api_takes_what_it_does_not_ask_for(
    shared_app: FastAPI, new_client: NewClient, make_settings: MakeSettings
) -> None:
    async def send(**request: Any) -> tuple[httpx2.Response, Rows, str]:
        async with rolled_back(database):
            shared_app.state.limiter = Limiter()
            visitor = new_client(shared_app)
            visitor.cookies.update(client.cookies)
            return await visitor.request(method, path.format(**ids), **request), *await snapshot(shared_app)

    database, sent = shared_app.state.runtime.database, 0
    shipped = create_app(make_settings(INSTALLED_APPS=walks.WALKED))
    for method, path, asked, required, as_form, member in operations(shipped):
        async with fresh(shared_app, new_client, member) as (client, ann, ids):
            valid = await example(shared_app, ann, path, asked, required)
            before, _ = await snapshot(shared_app)
            answer, wanted, _ = await send(**{"data" if as_form else "json": valid})
            assert answer.is_success, f"{method} {path}: {answer.text}"
            for way, request in attacks(valid, asked, as_form):
                answer, rows, held = await send(**request)
                assert answer.status_code < 500, f"{method} {path}, {way}"
                assert rows == (wanted if answer.is_success else before), f"{method} {path}, {way}"
                assert not [mark for mark in MARKS if mark in held], f"{method} {path}, {way}"
                sent += 1
    assert sent > 40


class Stuffing(httpx2.ASGITransport):
    """Adds to every form that is sent what it does not ask for, before and after its own fields."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        kind = request.headers.get("content-type", "")
        if request.method == "POST" and "multipart" not in kind:
            body = (await request.aread()).decode()
            asked = {name for name, _ in parse_qsl(body, keep_blank_values=True)} | KEPT
            more = {key: value if isinstance(value, str) else "y" for key, value in smuggled(asked).items()}
            headers = {key: value for key, value in request.headers.items() if key != "content-length"}
            headers["content-type"] = "application/x-www-form-urlencoded"
            stuffed = "&".join(filter(None, [urlencode(more), body, urlencode(more)]))
            request = httpx2.Request(request.method, request.url, headers=headers, content=stuffed)
        return await super().handle_async_request(request)


@pytest.mark.any_database
async def test_no_form_takes_what_it_does_not_ask_for(shared_app: FastAPI, new_client: NewClient) -> None:
    async def nobody(_: httpx2.AsyncClient) -> None:
        await add_user(shared_app)

    async def member(client: httpx2.AsyncClient) -> None:
        ann = await add_user(shared_app)
        await add_rows(shared_app, ann)
        await sign_in_as(client, shared_app, ann)

    async def reader(client: httpx2.AsyncClient) -> None:
        for link in (await links_for(shared_app, await add_user(shared_app))).values():
            await client.get(link)

    def stuffing_client(app: FastAPI) -> httpx2.AsyncClient:
        client = new_client(app)
        client._transport = Stuffing(app=app, raise_app_exceptions=False)
        return client

    people = {"nobody": nobody, "member": member, "reader": reader}
    crawler = Crawler(shared_app, new_client, people, VALUES)
    seen = set()
    for person in people:
        async with crawler.visiting(person) as places:
            for place in places:
                outcomes = []
                for crawler.new_client in (new_client, stuffing_client):
                    outcomes.append(await crawler.send(Page, place, VALID))
                usual, other = outcomes
                assert not usual.refused, place
                assert other.refused or (usual.added, usual.removed) == (other.added, other.removed), place
                assert MARK not in str(other.added), place
                seen.add(f"{place.url.partition('?')[0]} {place.words}")
        crawler.new_client = new_client
    assert {"/accounts/signup Sign up", "/accounts/profile Save"} <= seen
    for label in walks.TOLD:
        pages = shared_app.state.runtime.registry.app(label).pages
        assert not pages or any(each.startswith(f"/{label}/") for each in seen), label
    assert len(seen) > 10


ADMIN_FORMS = {
    "/admin/user/edit/{bob}": {"name": "Bob", "is_active": "y"},
    "/admin/group/edit/{group}": {"name": "Readers", "permissions": "accounts.user.view"},
    "/admin/group/create": {"name": "More", "permissions": "accounts.user.view"},
}


@pytest.mark.parametrize("place", ADMIN_FORMS)
async def test_no_form_of_the_admin_takes_what_it_does_not_show(
    shared_app: FastAPI, new_client: NewClient, place: str
) -> None:
    """As staff who may change people and groups, and are no superusers."""
    outcomes = []
    for stuffed in (False, True):
        async with rolled_back(shared_app.state.runtime.database):
            client, rights = new_client(shared_app), every("accounts.user", "accounts.group")
            me = await add_user(shared_app, "staff@example.com", is_staff=True, permissions=rights)
            bob = await add_user(shared_app, "bob@example.com", permissions=["accounts.user.view"])
            await sign_in_as(client, shared_app, me)
            async with shared_app.state.runtime.unit_of_work(write=False) as db:
                group = (await db.exec(select(Group).where(Group.name == "Group of bob@example.com"))).one()
            url = place.format(bob=bob.id, group=group.id)
            shown = set(re.findall(r'name="([^"]+)"', (await client.get(url)).text)) | {"members"}
            more = smuggled(shown) if stuffed else {}
            answer = await client.post(url, data=more | ADMIN_FORMS[place] | {"save": "Save"})
            outcomes.append((answer.status_code, *(await snapshot(shared_app))))
    assert outcomes[0][0] == outcomes[1][0] == 302
    assert outcomes[0][1] == outcomes[1][1]
    assert MARK not in outcomes[1][2]
