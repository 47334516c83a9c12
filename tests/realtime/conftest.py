"""People who talk with each other, each with a client of their own."""

from collections.abc import Awaitable, Callable

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import add_user, sign_in_as
from project.core.testing.plugin import NewClient

ROOMS = "/api/v1/realtime/rooms"
LOBBY = f"{ROOMS}/lobby"
Person = Callable[..., Awaitable[httpx2.AsyncClient]]


async def enter(app: FastAPI, client: httpx2.AsyncClient, name: str) -> httpx2.AsyncClient:
    """Sign somebody in whose e-mail begins with the name."""
    user = await add_user(app, f"{name.lower()}@example.com", name=name)
    await sign_in_as(client, app, user)
    return client


@pytest.fixture
def person(app: FastAPI, new_client: NewClient) -> Person:
    """A client of somebody who is signed in: `bob = await person("Bob")`."""

    async def come(name: str) -> httpx2.AsyncClient:
        return await enter(app, new_client(app), name)

    return come


@pytest.fixture
async def ann(person: Person) -> httpx2.AsyncClient:
    """Ann."""
    return await person("Ann")


@pytest.fixture
async def bob(person: Person) -> httpx2.AsyncClient:
    """Bob."""
    return await person("Bob")


@pytest.fixture
async def lobby(ann: httpx2.AsyncClient) -> str:
    """A public room of Ann's."""
    assert (await ann.post(ROOMS, json={"slug": "lobby", "title": "Lobby"})).status_code == 201
    return LOBBY


@pytest.fixture
async def den(ann: httpx2.AsyncClient) -> str:
    """A private room of Ann's."""
    assert (await ann.post(ROOMS, json={"slug": "den", "title": "Den", "private": True})).status_code == 201
    return f"{ROOMS}/den"


async def say(client: httpx2.AsyncClient, room: str, *bodies: str) -> list[int]:
    """Post messages; their ids."""
    answers = [await client.post(f"{room}/messages", json={"body": body}) for body in bodies]
    assert [each.status_code for each in answers] == [201] * len(bodies), answers[-1].text
    return [each.json()["id"] for each in answers]


async def bodies(client: httpx2.AsyncClient, room: str, **query: object) -> list[str]:
    """What a room's list of messages says."""
    answer = await client.get(f"{room}/messages", params=query)  # type: ignore[arg-type]
    return [each["body"] for each in answer.json()["items"]]
