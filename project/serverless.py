"""The door for functions: AWS Lambda calls `project.serverless.handler`. Needs the package mangum.

The site is opened at the first call and stays open for the next ones, on one event loop: connections last.
"""

import asyncio
from contextlib import ExitStack
from typing import Any

from fastapi import FastAPI
from mangum import Mangum
from mangum.protocols import LifespanCycle
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from project.asgi import app as site
from project.core.errors import ConfigurationError


class Handler:
    """Answers events of HTTP APIs, function URLs and load balancers.

    Raises ConfigurationError without Redis: many processes answer, and none of them lives long enough to run jobs.
    """

    def __init__(self, app: FastAPI) -> None:
        if not app.state.runtime.settings.REDIS_URL.get_secret_value():
            raise ConfigurationError("A function is many processes: set REDIS_URL, and run a worker elsewhere.")
        self._app = app
        self._opened = ExitStack()
        self._answer: Mangum | None = None

    def __call__(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """The answer to one event."""
        if self._answer is None:
            self._answer = self._open()
        return self._answer(event, context)

    def close(self) -> None:
        """Close the site, which the next call would open again."""
        self._opened.close()
        self._answer = None

    def _open(self) -> Mangum:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._opened.callback(asyncio.set_event_loop, None)
        self._opened.callback(loop.close)
        self._opened.enter_context(LifespanCycle(self._app, "on"))
        return Mangum(self._whole, lifespan="off")

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The site, but for streams, which never end: 204 tells an EventSource not to come again (HTML, 9.2)."""
        follows = Headers(scope=scope).get("accept", "").startswith("text/event-stream")
        await (Response(status_code=204) if follows else self._app)(scope, receive, send)


handler = Handler(site)
