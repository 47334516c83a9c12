"""A PostgreSQL that is away, hangs or comes back: whoever asks is told so soon, and who asks afterwards is served."""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine

RESTED = 1.0  # seconds in the pool after which nobody knows whether a connection still stands
PATIENCE = 2.0  # seconds that a server has to say that it does


def survive_outages(engine: AsyncEngine) -> None:
    """Let no connection that is broken or hangs cost a request more than one wait, nor raise what nobody expects."""
    ask_rested(engine)
    dialect: Any = engine.dialect
    for name in ("setup_asyncpg_json_codec", "setup_asyncpg_jsonb_codec"):  # each asks the server, unguarded
        setattr(dialect, name, _or_away(getattr(dialect, name)))

    @event.listens_for(engine.sync_engine, "handle_error")
    def _give_up(context: ExceptionContext) -> None:
        # A server that lives ends a statement itself, before the driver gives up. Of one that hangs nothing more is
        # asked: a rollback would wait as long again.
        if isinstance(context.original_exception, TimeoutError) and context.connection is not None:
            drop(context.connection.connection)
            context.is_disconnect = True

    @event.listens_for(engine.sync_engine, "do_connect")
    def _connect(dialect: Any, _: Any, arguments: Any, options: Any) -> Any:
        try:
            return dialect.connect(*arguments, **options)
        except OSError as error:  # no such name, no such socket: it is restarted, or its name server is
            raise ConnectionError(str(error)) from error


def _or_away(setup: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    async def guarded(connection: Any) -> None:
        try:
            await setup(connection)
        except Exception as error:  # the server went between the first word and the second
            raise ConnectionError(str(error)) from error

    return guarded


def ask_rested(engine: AsyncEngine) -> None:
    """Ask a connection that has rested whether it still stands. SQLAlchemy's own pre-ping asks each time, and goes
    three ways to the server and back for it: as many as a transaction of one statement.
    """

    @event.listens_for(engine.sync_engine, "checkin")
    def _rest(_: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _ask(dbapi: Any, record: Any, _: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", math.inf) > RESTED:
            try:
                dbapi.run_async(lambda driver: driver.execute("", timeout=PATIENCE))
            except TimeoutError as error:
                drop(dbapi)
                raise DisconnectionError from error
            except Exception as error:  # where one was ended, most likely all were
                raise InvalidatePoolError from error


def drop(connection: Any) -> None:
    """Let go of a connection at once; a polite end would wait for a server that hangs."""
    connection.driver_connection.terminate()
