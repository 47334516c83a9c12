"""uvicorn as this house runs it."""

import asyncio
import logging
import math
import os
import random
import signal
import sys
from socket import socket
from typing import Any

import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.config import STARTUP_FAILURE
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.supervisors import ChangeReload, Multiprocess

UNDER_WAY = 1.0  # seconds that a connection has to ask something, when the process stops
SPREAD = 3.0  # seconds over which sockets are told to come again, when the process stops
RECEIPT = 15.0  # seconds that a client has to send the head of a request, and again for each part of its body
PART = 16_384  # bytes
MOST_CONNECTIONS = 5000
FULL: Any = PlainTextResponse("Too many connections. Try again.", 503, {"Retry-After": "1", "Connection": "close"})


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
    """Lets go of clients that send drop by drop (CWE-400), and of sockets, too, beyond `limit_concurrency`.

    Answers whoever has connected before the door closed and has not asked yet: their request is on its way.
    """

    _full = False
    _received = 0
    _receipt: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(more=False)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._receipt:
            self._expect()

    def on_headers_complete(self) -> None:
        self._full = len(self.connections) >= (self.limit_concurrency or math.inf)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._received += len(body)
        if self._received >= PART:
            self._expect()

    def on_message_complete(self) -> None:
        self._expect(more=False)
        super().on_message_complete()

    def _expect(self, *, more: bool = True) -> None:
        if self._receipt:
            self._receipt.cancel()
        self._receipt = self.loop.call_later(RECEIPT, self._late) if more else None
        self._received = 0

    def _late(self) -> None:
        if self.flow.read_paused:  # by us: what was sent is still to be read
            self._expect()
        else:
            self.transport.abort()

    def _should_upgrade(self) -> bool:
        return not self._full and super()._should_upgrade()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        super()._start_asgi_task(cycle, FULL if app is service_unavailable else app)

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
    "limit_concurrency": MOST_CONNECTIONS,
}


class Config(uvicorn.Config):
    """Ends a process whose site cannot be imported as one that cannot start: it is not tried again and again."""

    def load_app(self) -> Any:
        try:
            return super().load_app()
        except Exception:
            logging.getLogger("uvicorn.error").exception("The site cannot be imported.")
            if self.workers > 1:  # the supervisor waits a minute for whom it has asked and who does not answer any more
                os._exit(STARTUP_FAILURE)
            sys.exit(STARTUP_FAILURE)


class Processes(Multiprocess):
    """Stops at once when told to, and notices at once when a process dies.

    uvicorn's would first replace all of them, and wait for the word of a dead one as long as for that of a slow one.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket]) -> None:
        super().__init__(config, sockets)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: self.should_exit.set())

    def keep_subprocess_alive(self) -> None:
        for each in self.processes:
            each.child_conn.close()  # the child has its own; while this one is open, its death does not end the wait
        super().keep_subprocess_alive()


def serve(config: uvicorn.Config) -> None:
    """Serve until a signal comes: in this process, in `config.workers` of them, or anew whenever a file changes.

    SIGHUP replaces several one after the other, each by one that is ready (SIGTTIN and SIGTTOU: one more, one less);
    a single one heeds it not. Ends with 0 on SIGTERM, raises SystemExit(1) when the site does not start.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it anew when all is closed
    server, failed = uvicorn.Server(config), False
    try:
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=[config.bind_socket()]).run()
        elif config.workers > 1:
            several = Processes(config, sockets=[config.bind_socket()])
            several.run()
            failed = STARTUP_FAILURE in [each.exitcode for each in several.processes]
        else:
            if hasattr(signal, "SIGHUP"):  # it would end the process, and `systemctl reload` the site
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            server.run()
            failed = not server.started
    except KeyboardInterrupt:
        return
    except SystemExit as end:
        failed = bool(end.code)
    if failed:
        raise SystemExit(1)
