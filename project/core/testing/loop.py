"""The event loop of the tests: asyncio, one for the whole run, so that an app can be shared."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio, all on one loop."""
    return "asyncio"
