"""The probe app on a live database of its own."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI

from project.core.testing.plugin import Databases, MakeSettings, NewClient, running
from project.settings import Settings
from tests.core.probe import models

INSTALLED = [*Settings.model_fields["INSTALLED_APPS"].default, "tests.core.probe"]


@pytest.fixture
async def probe_app(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[FastAPI]:
    """The site with the probe app, its tables made, commits real."""
    async with (
        backend.copy() as url,
        running(make_settings(DATABASE_URL=url, INSTALLED_APPS=INSTALLED)) as app,
    ):
        await models.create(app.state.runtime.database.engine)
        yield app


@pytest.fixture
def probe(probe_app: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on it."""
    return new_client(probe_app)
