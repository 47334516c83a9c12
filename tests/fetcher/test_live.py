"""A batch over real HTTP: submitted, fetched by the site's own worker, and seen on its page as it goes."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from apps.accounts.testing import add_user, sign_in_as
from apps.fetcher.client import Transport
from project.core.asgi import create_app
from project.core.management.browsing import serving
from project.core.testing.plugin import Databases, MakeSettings
from tests.fetcher.conftest import Script

SECONDS = 20


@pytest.fixture
async def served(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The site, served; its address is `app.state.address`."""
    async with backend.copy() as url:
        app = create_app(make_settings(DATABASE_URL=url))
        async with serving(app) as app.state.address:
            yield app


async def test_a_page_hears_the_end_of_a_batch_that_is_deleted(served: FastAPI) -> None:
    served.state.runtime.provide(Transport, Script())
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(base_url=served.state.address, trust_env=False) as client:
        await sign_in_as(client, served, await add_user(served))
        batch = (await client.post("/api/v1/fetcher/batches", json={"urls": ["http://a.example/"]})).json()
        async with client.stream("GET", f"/fetcher/batches/{batch['id']}/events") as stream:
            seen = ""
            async for line in stream.aiter_lines():
                if "0 / 1" in line and "0 / 1" not in seen:
                    await client.delete(f"/api/v1/fetcher/batches/{batch['id']}")
                seen += line
        assert "event: end" in seen
        assert "hx-get" not in seen


async def test_a_page_moves_until_its_batch_is_done(served: FastAPI) -> None:
    script = Script()
    served.state.runtime.provide(Transport, script)
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(base_url=served.state.address, trust_env=False) as client:
        await sign_in_as(client, served, await add_user(served))
        urls = [f"http://a.example/{number}" for number in range(4)]
        batch = (await client.post("/api/v1/fetcher/batches", json={"urls": urls})).json()
        async with client.stream("GET", f"/fetcher/batches/{batch['id']}/events") as stream:
            seen = ""
            async for line in stream.aiter_lines():
                seen += line
                if "0 / 4" in line:
                    script.gate.set()
        assert "4 / 4" in seen
        assert seen.index("0 / 4") < seen.index("4 / 4") < seen.rindex("event: end")
        page = (await client.get(f"/fetcher/batches/{batch['id']}")).text
    assert "http://a.example/3" in page
    assert "data-stream" not in page
