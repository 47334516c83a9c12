"""A few URLs are fetched while somebody waits: by JSON and from the terminal."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import SignIn
from apps.fetcher.injected import http_client
from apps.fetcher.outcomes import Failure, FetchError
from project.core.testing.plugin import Manage
from tests.fetcher.conftest import Script, Site

pytestmark = pytest.mark.any_database

FETCH = "/api/v1/fetcher/fetch"
MULTI = "/api/v1/fetcher/multi-fetch"
A, B, C = "http://a.example/", "http://b.example/", "http://c.example/"


async def test_results_are_partial_and_in_order(client: httpx2.AsyncClient, scripted: Script, sign_in: SignIn) -> None:
    await sign_in()
    scripted.answers |= {"a.example": FetchError(Failure.TLS), "b.example": 404}
    answer = await client.get(FETCH, params={"urls": [C, A, B, "words", C]})
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [(each["url"], each["status_code"], each["error"]) for each in results] == [
        (C, 200, None),
        (A, None, "tls"),
        (B, 404, None),
        ("words", None, "invalid_url"),
        (C, 200, None),
    ]
    assert (results[1]["message"], scripted.asked.count(C)) == (Failure.TLS.message, 1)


@pytest.mark.parametrize("address", [FETCH, MULTI])
@pytest.mark.parametrize("urls", [[], [A] * 21, [A + "x" * 2048]])
async def test_none_and_too_many_are_refused(
    address: str, urls: list[str], client: httpx2.AsyncClient, scripted: Script, sign_in: SignIn
) -> None:
    await sign_in()
    answer = await client.get(address, params={"urls": urls})
    assert (answer.status_code, scripted.asked) == (422, [])
    assert answer.json()["errors"][0]["field"].startswith("urls")


async def test_strangers_have_nothing_fetched(client: httpx2.AsyncClient, scripted: Script) -> None:
    assert (await client.get(FETCH, params={"urls": [A]})).status_code == 401
    assert (await client.get(MULTI, params={"urls": [A]})).status_code == 401
    assert scripted.asked == []


async def test_each_person_is_limited(client: httpx2.AsyncClient, scripted: Script, sign_in: SignIn) -> None:
    await sign_in()
    statuses = [(await client.get(FETCH, params={"urls": A})).status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]
    refused = await client.get(MULTI, params={"urls": A})
    assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
    await sign_in("bob@example.com")
    assert (await client.get(FETCH, params={"urls": A})).status_code == 200


async def test_the_guard_stands_in_front_of_both(client: httpx2.AsyncClient, canary: Site, sign_in: SignIn) -> None:
    await sign_in()
    for address in (FETCH, MULTI):
        answer = await client.get(address, params={"urls": [canary.url(), "http://[::1]/", "http://0/"]})
        assert [each["error"] for each in answer.json()["results"]] == ["blocked"] * 3
    assert canary.seen == []


async def test_the_injected_client_can_be_replaced(app: FastAPI, client: httpx2.AsyncClient, sign_in: SignIn) -> None:
    async def words() -> AsyncIterator[bytes]:
        yield b"words"

    await sign_in()
    transport = httpx2.MockTransport(lambda request: httpx2.Response(203, content=words()))
    async with httpx2.AsyncClient(transport=transport) as mock:
        app.dependency_overrides[http_client] = lambda: mock
        answer = await client.get(MULTI, params={"urls": [A, B]})
    assert [(each["status_code"], each["size"]) for each in answer.json()["results"]] == [(203, 5)] * 2


def test_a_page_is_fetched_from_the_terminal(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "urls").write_text("http://127.0.0.1/\n\nwords\n")
    answer = manage("fetch", "http://10.0.0.1/", "words", "--file", str(tmp_path / "urls"), "--json")
    found = {each["url"]: each["error"] for each in map(json.loads, answer.stdout.splitlines())}
    assert found == {"http://10.0.0.1/": "blocked", "http://127.0.0.1/": "blocked", "words": "invalid_url"}
    assert (answer.exit_code, "Fetching" in answer.stderr) == (1, True)


def test_a_line_says_what_became_of_a_url(manage: Manage) -> None:
    answer = manage("fetch", "http://10.0.0.1/")
    assert answer.stdout.split()[0] == "blocked"
    assert "http://10.0.0.1/" in answer.stdout
    assert manage("fetch").exit_code == 2


@pytest.mark.parametrize(
    ("name", "value"), [("ALLOW", "localhost"), ("ALLOW", "example.com:http"), ("PORTS", "http"), ("PORTS", "80,0")]
)
def test_settings_that_cannot_be_meant_are_refused(
    name: str, value: str, manage: Manage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FETCHER_{name}", value)
    answer = manage("fetch", A)
    assert (answer.exit_code, f"FETCHER_{name} must be" in answer.output + str(answer.exception)) == (1, True)
