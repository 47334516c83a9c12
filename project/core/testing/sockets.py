"""A socket's client in a test: `async with connected(site, "/blog/echo", user_client) as socket:`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SECONDS = 15


class Socket:
    """One open socket; what does not come within 15 seconds is a TimeoutError."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, frame: Any) -> None:
        """Send JSON; text and bytes go as they are."""
        await self.connection.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def text(self) -> str:
        """The next frame as it came."""
        async with asyncio.timeout(SECONDS):
            return str(await self.connection.recv())

    async def frame(self) -> Any:
        """The next frame, a JSON object."""
        return json.loads(await self.text())

    async def frames(self, count: int) -> list[Any]:
        """The next frames."""
        return [await self.frame() for _ in range(count)]

    async def closed(self) -> int:
        """Wait until the server closes; the code it gives."""
        try:
            while True:
                await self.text()
        except ConnectionClosed:
            return self.connection.close_code or 0


@asynccontextmanager
async def connected(
    address: str, path: str, client: httpx2.AsyncClient | None = None, **options: Any
) -> AsyncIterator[Socket]:
    """A socket on a site that is served at `address`, with the cookies and headers of `client`.

    Raises websockets' InvalidStatus when the handshake is refused. `options` are those of websockets' connect.
    """
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items()) if client else ""
    headers = {"Cookie": cookies} if cookies else {}
    if client and (bearer := client.headers.get("authorization")):
        headers["Authorization"] = bearer
    options = {"proxy": None, "compression": None, "additional_headers": headers} | options
    async with connect(address.replace("http", "ws", 1) + path, **options) as connection:
        yield Socket(connection)
