"""Which statements the database was given, and how long it took for each."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from sqlalchemy import event

from project.core.db.engine import Database


@contextmanager
def recorded(database: Database) -> Iterator[list[tuple[str, float]]]:
    """The SQL of every statement from here on, without its values, and its seconds."""
    engines = [engine.sync_engine for engine in database.engines.values()]
    found: list[tuple[str, float]] = []
    started: dict[int, float] = {}

    def before(_: Any, __: Any, ___: str, ____: Any, context: Any, _____: bool) -> None:
        started[id(context)] = perf_counter()

    def after(_: Any, __: Any, statement: str, ___: Any, context: Any, ____: bool) -> None:
        found.append((" ".join(statement.split()), perf_counter() - started.pop(id(context), perf_counter())))

    listeners = {"before_cursor_execute": before, "after_cursor_execute": after}
    for engine in engines:
        for name, listener in listeners.items():
            event.listen(engine, name, listener)
    try:
        yield found
    finally:
        for engine in engines:
            for name, listener in listeners.items():
                event.remove(engine, name, listener)
