"""Live reload: the browser hears of each change to a template or static file, and of each new start."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from watchfiles import awatch

from project.core import templating
from project.core.conf import ROOT
from project.core.errors import NotFound
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.deps import CurrentRuntime
from project.core.web.static.sources import site_folders


async def _asked(runtime: CurrentRuntime) -> None:
    if not runtime.settings.live_reload:
        raise NotFound()


router = APIRouter(prefix="/_dev", dependencies=[Depends(_asked)])
log = get_logger(__name__)
START = secrets.token_hex(4)
RETRY_MS = 300
Changed = set[Path]


class Watcher:
    """Tells each listener which files changed; the disk is watched only while somebody listens."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = folders
        self._listeners: set[asyncio.Queue[Changed]] = set()
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def watching(self) -> bool:
        """True while the disk is watched."""
        return bool(self._listeners)

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[asyncio.Queue[Changed]]:
        """A queue of what changes from now on."""
        queue: asyncio.Queue[Changed] = asyncio.Queue()
        if not self._listeners:
            self._stop = asyncio.Event()
            self._task = asyncio.create_task(self._watch(self._stop))
        self._listeners.add(queue)
        await asyncio.sleep(0)  # the disk is watched once the task has taken its first step
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
            if not self._listeners:
                self._stop.set()

    async def stamp(self) -> str:
        """A word for the state of this process and its files; a browser that knows another one is out of date."""
        return f"{START}-{await asyncio.to_thread(self._newest)}"

    def _newest(self) -> int:
        paths = (path for folder in self.folders for path in folder.rglob("*"))
        return max((path.stat().st_mtime_ns for path in paths if path.exists()), default=0)

    async def _watch(self, stop: asyncio.Event) -> None:
        folders = [folder for folder in self.folders if folder.is_dir()]
        try:
            async for changes in awatch(*folders, stop_event=stop):
                for queue in self._listeners:
                    queue.put_nowait({Path(path) for _, path in changes})
        except Exception as error:
            log.warning("files cannot be watched, so browsers do not reload", reason=str(error))


def watcher_of(request: Request) -> Watcher:
    """The one watcher of the process."""
    state, runtime = request.app.state, request.app.state.runtime
    if not hasattr(state, "watcher"):
        state.watcher = Watcher(_folders(runtime))
    watcher: Watcher = state.watcher
    return watcher


def _folders(runtime: Runtime) -> list[Path]:
    apps = [app.path for app in runtime.registry.apps]
    return [*site_folders(runtime), *templating.folders(ROOT / "templates", apps)]


@router.get("/reload", response_class=EventSourceResponse)
async def stream(request: Request, runtime: CurrentRuntime) -> AsyncIterator[ServerSentEvent]:
    """Say hello, then each change: `style` with the names of the styles when nothing else changed, else `reload`."""
    watcher = watcher_of(request)
    async with watcher.listen() as queue:
        yield ServerSentEvent(event="hello", data={"stamp": await watcher.stamp()}, retry=RETRY_MS)
        while changed := await runtime.closing.unless(queue.get()):
            styles = [name for path in changed if (name := _style(path, site_folders(runtime)))]
            kind = "style" if len(styles) == len(changed) else "reload"
            yield ServerSentEvent(event=kind, data={"stamp": await watcher.stamp(), "styles": styles})


def _style(path: Path, folders: Sequence[Path]) -> str | None:
    """The name of a changed style under /static/, or None for anything else."""
    for folder in folders:
        if path.suffix == ".css" and path.is_relative_to(folder):
            return path.relative_to(folder).as_posix()
    return None
