"""uvicorn as this house runs it."""

import random
import signal
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import ChangeReload, Multiprocess

UNDER_WAY = 1.0  # seconds that a connection has to ask something, when the process stops
SPREAD = 3.0  # seconds over which sockets are told to come again, when the process stops


class SocketProtocol(WebSocketsSansIOProtocol):
    """Lets go of clients that do not read, and says good-bye to the others one after the other."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"]["uptempo.abort"] = self.transport.abort  # type: ignore[assignment]

    def send_receive_event_to_app(self) -> None:
        try:
            b"".join(self.frames).decode() if self.curr_msg_data_type == "text" and not self.close_sent else None
        except UnicodeDecodeError:  # uvicorn would write a traceback for each
            self.conn.fail(1007)
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.loop.call_later(1, self.transport.abort)

    def shutdown(self) -> None:
        grace = self.config.timeout_graceful_shutdown
        seconds = SPREAD if grace is None else min(SPREAD, grace / 2)
        self.loop.call_later(random.uniform(0, seconds), self._shutdown)  # noqa: S311 - spread, no secret

    def _shutdown(self) -> None:
        if not self.disconnected:
            super().shutdown()


class RequestProtocol(HttpToolsProtocol):
    """Answers whoever has connected before the door closed and has not asked yet: their request is on its way."""

    def shutdown(self) -> None:
        asked = vars(self)["cycle"]
        self.loop.call_later(0 if asked else UNDER_WAY, self._shutdown)

    def _shutdown(self) -> None:
        super().shutdown()


SOCKETS: dict[str, Any] = {"ws": SocketProtocol, "ws_max_size": 65_536, "ws_per_message_deflate": False}
AS_HERE: dict[str, Any] = SOCKETS | {
    "http": RequestProtocol,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,
}


def serve(config: uvicorn.Config) -> None:
    """Serve until a signal comes: in this process, in `config.workers` of them, or anew whenever a file changes.

    SIGHUP replaces several one after the other, each by one that is ready (SIGTTIN and SIGTTOU: one more, one less).
    Ends with 0 on SIGTERM, raises SystemExit(1) when the site does not start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it anew when all is closed
    server = uvicorn.Server(config)
    try:
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
        elif config.workers > 1:
            Multiprocess(config, sockets=[config.bind_socket()]).run()
        else:
            server.run()
    except KeyboardInterrupt:
        return
    if not server.started and not config.should_reload and config.workers == 1:
        raise SystemExit(1)
