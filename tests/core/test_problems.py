"""Refusals in words: problem documents under /api, pages elsewhere, never a leak."""

import json
import logging
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, TimeoutError as PoolTimeout
from starlette.requests import HTTPConnection

from apps.accounts import services
from apps.accounts.testing import add_user, sign_in_as
from project.core import errors
from project.core.web import problems
from project.core.web.problems import refusal_of

pytestmark = pytest.mark.any_database

ACCOUNTS = "/api/v1/accounts"


async def test_an_unknown_api_address_is_a_problem_document(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/api/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"], document["title"]) == (404, "not_found", "Not Found")
    assert document["request_id"] == answer.headers["x-request-id"]


async def test_an_unknown_page_is_a_page_in_the_sites_clothes(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Page not found" in answer.text
    assert "/static/css/site.css" in answer.text
    assert (await client.get("/apiary")).headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", ["/api/v1/probe/bug", "/probe/bug"])
async def test_a_bug_tells_the_visitor_nothing_but_the_request_id(
    probe: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await probe.get(path)
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "Traceback" not in answer.text
    assert "RuntimeError" not in answer.text
    assert "hunter2" not in answer.text
    assert "unhandled error" in caplog.text


async def test_a_wrong_method_says_which_is_right(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/accounts/logout")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await client.delete(f"{ACCOUNTS}/users")).json()["code"] == "method_not_allowed"


async def test_anonymous_is_sent_to_log_in_and_back_again(client: httpx2.AsyncClient) -> None:
    page = await client.get("/accounts/profile?tab=1")
    assert (page.status_code, page.headers["location"]) == (303, "/accounts/login?next=/accounts/profile%3Ftab%3D1")
    document = await client.get(f"{ACCOUNTS}/me")
    assert (document.status_code, document.headers["www-authenticate"]) == (401, "Bearer")


async def test_identity_is_asked_before_the_form_whatever_the_order(
    probe: httpx2.AsyncClient, probe_app: FastAPI
) -> None:
    bad = {"parent_id": "not a number"}
    assert (await probe.post("/probe/mine", data=bad)).status_code == 303
    await sign_in_as(probe, probe_app, await add_user(probe_app))
    assert (await probe.post("/probe/mine", data=bad)).status_code == 422
    assert (await probe.post("/probe/mine", data={"parent_id": "3"})).text == "ann@example.com 3"


async def test_json_sent_as_text_is_not_read(client: httpx2.AsyncClient) -> None:
    body = '{"email": "ann@example.com", "password": "long enough"}'
    answer = await client.post(f"{ACCOUNTS}/users", content=body, headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("path", [f"{ACCOUNTS}/users", "/accounts/signup", "/admin/user/create"])
async def test_a_body_over_the_limit_is_refused(client: httpx2.AsyncClient, path: str) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded" if "signup" in path else "application/json"}
    answer = await client.post(path, content=b"x" * 3_000_000, headers=headers)
    assert answer.status_code == 413
    assert "content-security-policy" in answer.headers
    if path.startswith("/api"):
        assert answer.json()["code"] == "too_large"


@pytest.mark.parametrize("path", [f"{ACCOUNTS}/users", "/accounts/signup"])
async def test_a_body_that_turns_out_too_long_is_refused_as_soon_as_it_does(
    client: httpx2.AsyncClient, path: str
) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000_000:
            sent += 100_000
            yield b"x" * 100_000

    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    answer = await client.post(path, content=chunks(), headers={"Content-Type": kind})
    assert answer.status_code in (400, 413)  # a form's single field has a smaller limit still
    assert sent < 3_000_000


async def test_a_form_with_too_many_fields_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/accounts/signup", data={f"f{number}": "x" for number in range(1001)})
    assert answer.status_code == 400


@pytest.mark.parametrize("path", ["/accounts/login", f"{ACCOUNTS}/token"])
async def test_a_form_of_nothing_but_separators_is_refused_before_it_is_parsed(
    client: httpx2.AsyncClient, path: str
) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.post(path, content=b"&" * 2_000_000, headers=headers)).status_code == 413


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "no-such-charset"])
async def test_an_odd_charset_is_not_read_at_all(client: httpx2.AsyncClient, charset: str) -> None:
    part = b'--B\r\nContent-Disposition: form-data; name="email"\r\n\r\n\\ud800 +2AA-\r\n--B--\r\n'
    headers = {"Content-Type": f"multipart/form-data; boundary=B; charset={charset}"}
    assert (await client.post("/accounts/login", content=part, headers=headers)).status_code == 415


@pytest.mark.parametrize("body", ["{", "[]", '"text"', "null", '{"email": {}}', "1" * 5000, "[" * 5000])
async def test_odd_json_is_never_a_500(client: httpx2.AsyncClient, body: str) -> None:
    answer = await client.post(f"{ACCOUNTS}/users", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b", "\U0001f600" * 50, "x" * 300])
@pytest.mark.parametrize("field", ["email", "password", "name"])
async def test_odd_text_is_never_a_500(client: httpx2.AsyncClient, field: str, text: str) -> None:
    data = {"email": "ann@example.com", "password": "long enough", "name": "Ann"} | {field: text}
    answer = await client.post(
        f"{ACCOUNTS}/users", content=json.dumps(data), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code < 500


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadRequest(), 400),
        (errors.NotAuthenticated(), 401),
        (errors.Forbidden(), 403),
        (errors.NotFound(), 404),
        (errors.Conflict(), 409),
        (errors.Stale(), 412),
        (errors.Invalid(), 422),
        (errors.TooMany(retry_after=7), 429),
        (errors.Unavailable(retry_after=7), 503),
        (OperationalError("SELECT secret", {}, Exception("database is locked")), 503),
        (PoolTimeout("QueuePool limit"), 503),
        (IntegrityError("INSERT secret", {}, Exception("UNIQUE constraint failed: accounts_user.email")), 409),
        (IntegrityError("INSERT secret", {}, Exception("FOREIGN KEY constraint failed")), 409),
        (IntegrityError("INSERT secret", {}, Exception("NOT NULL constraint failed: x.y")), 422),
        (DBAPIError("SELECT secret", {}, Exception("odd")), 500),
        (KeyError("bug"), 500),
    ],
    ids=lambda value: getattr(value, "__class__", type(value)).__name__ if isinstance(value, Exception) else None,
)
def test_every_expected_error_has_its_status_and_shows_no_sql(error: Exception, status: int) -> None:
    refusal = refusal_of(error)
    assert refusal.status == status
    assert "secret" not in str(refusal.detail)
    if status in (429, 503):
        assert "Retry-After" in refusal.headers


def test_a_broken_unique_rule_names_its_field() -> None:
    error = IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: accounts_user.email"))
    assert [each.field for each in refusal_of(error).errors] == ["email"]


def test_a_status_nobody_knows_keeps_its_number() -> None:
    from starlette.exceptions import HTTPException

    refusal = refusal_of(HTTPException(499, "gone away"))
    assert (refusal.status, refusal.code, refusal.detail) == (499, "error", "gone away")


def test_refusals_of_a_flood_come_one_after_another_and_those_of_people_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, pace = [1000.0], problems.Pace()
    monkeypatch.setattr(problems, "monotonic", lambda: clock[0])
    delays = [pace.delay() for _ in range(200)]
    assert delays[:20] == [0.0] * 20
    assert delays[20:69] == pytest.approx([number / 50 for number in range(1, 50)])
    assert set(delays[70:]) == {1.0}  # nobody is held longer
    clock[0] += 10
    assert pace.delay() == 0


@pytest.mark.parametrize(
    ("error", "waits"),
    [(errors.TooMany(), True), (errors.Unavailable(code="busy"), True), (errors.Unavailable(), False)],
)
async def test_only_refusals_of_floods_wait(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: errors.DomainError, waits: bool
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(problems.Pace, "delay", lambda pace: float(bool(asked.append(pace))))  # type: ignore[func-returns-value]

    async def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(services, "authenticate", refuse)
    answer = await client.post("/api/v1/accounts/login", json={"email": "ann@example.com", "password": "x"})
    assert answer.status_code == error.status
    assert bool(asked) is waits


@pytest.mark.parametrize("state", ["08006", "28P01", "3D000", "53300", "57P01", "40001"])
def test_a_database_that_lets_nobody_in_is_away(state: str) -> None:
    said = Exception("no")
    vars(said)["sqlstate"] = state
    assert refusal_of(DBAPIError("SELECT 1", {}, said)).status == 503


async def test_who_is_asking_is_not_asked_twice_of_a_database_that_hangs(
    app: FastAPI, client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def hang(_: object, conn: HTTPConnection) -> None:
        asked.append(conn.url.path)
        raise TimeoutError

    monkeypatch.setattr(app.state.runtime.registry, "authenticate", hang)
    answer = await client.get("/accounts/profile")
    assert (answer.status_code, asked) == (503, ["/accounts/profile"])
    assert "Back in a moment" in answer.text
