"""A batch over real HTTP: submitted, fetched by the site's own worker, and seen on its page as it goes."""

import asyncio
import re
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


async def test_a_page_moves_until_its_batch_is_done(served: FastAPI) -> None:
    script = Script()
    served.state.runtime.provide(Transport, script)
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(base_url=served.state.address, trust_env=False) as client:
        await sign_in_as(client, served, await add_user(served))
        urls = [f"http://a.example/{number}" for number in range(4)]
        batch = (await client.post("/api/v1/fetcher/batches", json={"urls": urls})).json()
        path = f"/fetcher/batches/{batch['id']}"
        page = (await client.get(path)).text
        assert "0 / 4" in page
        progress, results = re.findall(r'data-live-pass="([^"]+)"', page)
        async with client.stream("GET", "/live/stream", params={"on": [progress, results]}) as stream:
            seen, told = "", ""
            async for line in stream.aiter_lines():
                told += line
                if line == "data: null":
                    script.gate.set()
                if line.startswith('data: "fetcher.batch:'):
                    seen += (await client.get(path, headers={"X-Live": progress})).text
                if f'href="{path}"' in line:  # the notice
                    break
        assert f"fetcher.ended:{batch['id']}" in told
        assert "Your batch: all 4 addresses are done." in told
        assert "4 / 4" in seen
        assert "<h1>" not in seen
        listed = (await client.get(path, headers={"X-Live": results})).text
    assert "http://a.example/3" in listed
    assert "data-live" not in listed


@pytest.mark.any_database
async def test_the_page_of_a_batch_that_is_deleted_is_told_so(served: FastAPI) -> None:
    script = Script()
    served.state.runtime.provide(Transport, script)
    async with asyncio.timeout(SECONDS), httpx2.AsyncClient(base_url=served.state.address, trust_env=False) as client:
        await sign_in_as(client, served, await add_user(served))
        batch = (await client.post("/api/v1/fetcher/batches", json={"urls": ["http://a.example/"]})).json()
        path = f"/fetcher/batches/{batch['id']}"
        passes = re.findall(r'data-live-pass="([^"]+)"', (await client.get(path)).text)
        async with client.stream("GET", "/live/stream", params={"on": passes}) as stream:
            told = set[str]()
            async for line in stream.aiter_lines():
                told.add(line)
                if line == "data: null":
                    await client.delete(f"/api/v1/fetcher{path.removeprefix('/fetcher')}")
                if {f'data: "fetcher.{name}:{batch["id"]}"' for name in ("batch", "ended")} <= told:
                    break
        assert (await client.get(path, headers={"X-Live": passes[0]})).status_code == 404
    script.gate.set()
