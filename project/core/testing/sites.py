"""Sites of the tests, as in production but strict, which share what does not differ between them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from jinja2.bccache import Bucket, BytecodeCache

from project.core.asgi import create_app
from project.core.conf import Settings


class Compiled(BytecodeCache):
    """Templates, compiled once for all sites of this process."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """What there is, if it is of this source."""
        if held := self._held.get(bucket.key):
            bucket.bytecode_from_string(held)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._held[bucket.key] = bucket.bytecode_to_string()


COMPILED = Compiled()


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[FastAPI]:
    """The site with its lifespan run."""
    app = create_app(settings)
    app.state.static.strict = True  # in tests a template that names a missing static file fails
    app.state.templates.bytecode_cache = COMPILED
    app.state.runtime.runs_jobs = False  # the fixture `jobs` does
    async with app.router.lifespan_context(app):
        yield app
