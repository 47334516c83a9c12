"""A Python shell inside the site: top-level await, a ready session, every model by name."""

import ast
import asyncio
import code
import contextlib
import inspect
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from types import CodeType, FunctionType
from typing import Any

import click

from project.core.management import command
from project.core.runtime import Runtime

BANNER = "`db` is a session (await db.commit() keeps your changes); models: {models}"


@command(epilog="Example: manage.py shell -c 'print(await db.get(User, ...))'")
@click.option("-c", "--command", "source", help="Run this instead of asking; await works.")
@click.option("--no-imports", is_flag=True, help="Without the models' names.")
async def shell(runtime: Runtime, source: str | None, no_imports: bool) -> None:
    """Open a Python shell with await, a session and all models."""
    apps = [] if no_imports else runtime.registry.apps
    models = {model.__name__: model for app in apps for model in app.models}
    async with runtime.database.sessions[True]() as db:
        names: dict[str, Any] = {"runtime": runtime, "settings": runtime.settings, "db": db, **models}
        if source is None and not sys.stdin.isatty():
            source = sys.stdin.read()
        if source is not None:
            await _run(source, names)
        else:
            await _converse(names, BANNER.format(models=", ".join(sorted(models)) or "none"))


async def _run(source: str, names: dict[str, Any]) -> None:
    compiled = compile(source, "<shell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await _call(FunctionType(compiled, names))


async def _call(function: Callable[[], Any]) -> None:
    result = function()
    if inspect.iscoroutine(result):
        await result


class _Console(code.InteractiveConsole):
    """Reads in its own thread and runs each statement on the site's event loop."""

    def __init__(self, names: dict[str, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(names)
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        self._loop = loop

    def runcode(self, code: CodeType) -> None:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(_call(FunctionType(code, self.locals)), self._loop)
        try:
            future.result()
        except SystemExit:
            raise
        except BaseException:
            self.showtraceback()


async def _converse(names: dict[str, Any], banner: str) -> None:
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def talk() -> None:
        with contextlib.suppress(SystemExit):
            _Console(names, loop).interact(banner, exitmsg="")
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=talk, daemon=True).start()
    await done.wait()
