"""uvicorn as this house runs it: open streams end at once when it stops or reloads."""

import socket

import uvicorn
from uvicorn.supervisors import ChangeReload


class Server(uvicorn.Server):
    """Sets the site's `closing` (it is in the lifespan's state) before waiting for connections."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: tell the streams first."""
        if closing := self.lifespan.state.get("closing"):
            closing.set()
        await super().shutdown(sockets)


def serve(config: uvicorn.Config) -> None:
    """Serve until a signal comes; with `config.reload` in a process that is replaced when a file changes."""
    server = Server(config)
    try:
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
        else:
            server.run()
    except KeyboardInterrupt:
        return
    if not server.started and not config.should_reload:
        raise SystemExit(1)
