"""Runtime: builds what a process needs, opens it once, closes it in order."""

import asyncio
import gc
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from typing import Any, Self, TypeVar
from urllib.parse import quote

from project.core.apps import Registry
from project.core.closing import Closing
from project.core.conf import AppSettings, Settings
from project.core.db.engine import Database
from project.core.db.session import AsyncSession
from project.core.errors import ConfigurationError
from project.core.jobs.doorbell import Doorbell
from project.core.jobs.embedded import NearBell, embedded_worker
from project.core.jobs.queue import Queue
from project.core.live.bus import Bus
from project.core.live.presence import Presence
from project.core.live.pubsub import RedisBus
from project.core.mail import Mailer
from project.core.pool import ThreadPool

C = TypeVar("C", bound=AppSettings)
T = TypeVar("T")
HASH_PATIENCE = 4.0  # seconds that a password waits for its turn, however slow the machine is


class Runtime:
    """Registry, database, job queue, bus and threads of one process. `async with runtime:` opens and closes them.

    The web app enters it in its lifespan, a command around its body; nothing else opens a resource.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._redis = bool(settings.REDIS_URL.get_secret_value())
        self.closing = Closing()
        self.registry = Registry(settings.INSTALLED_APPS)
        self.database = Database(settings)
        self.bus: Bus = RedisBus(settings.REDIS_URL) if self._redis else Bus()
        self.database.info["bus"] = self.bus
        self.presence = Presence(self.database)
        self.mail = Mailer(settings, [app.path for app in self.registry.apps], self.url)
        self.hashing = ThreadPool("hash", settings.HASH_WORKERS, settings.HASH_QUEUE, HASH_PATIENCE, yields=True)
        self.threads = ThreadPool("job", settings.WORKER_THREADS, queue=10_000)
        self.beside = asyncio.Semaphore(settings.WORKER_THREADS)  # jobs that run in threads or processes
        self.queue = Queue(self.registry.jobs, Doorbell(settings.REDIS_URL) if self._redis else NearBell())
        self.database.info["queue"] = self.queue
        self.runs_jobs = True  # tests run them by hand
        self._provided: dict[type, Any] = {}
        self._conf = {app.settings: app.settings.load() for app in self.registry.apps if app.settings}

    def conf(self, cls: type[C]) -> C:
        """An app's own settings; raises ConfigurationError when no installed app declares this class."""
        found = self._conf.get(cls)
        if not isinstance(found, cls):
            raise ConfigurationError(f"No installed app has settings={cls.__name__} in its app.py.")
        return found

    def provide(self, cls: type[T], thing: T) -> None:
        """Hang something outside here for handlers, jobs and commands: an app's lifespan does, and so do tests."""
        self._provided[cls] = thing

    def find(self, cls: type[T]) -> T:
        """What was provided as this class; raises ConfigurationError when nothing was."""
        found = self._provided.get(cls)
        if not isinstance(found, cls):
            raise ConfigurationError(f"No installed app provides {cls.__name__} in its lifespan.")
        return found

    def url(self, name: str, /, **params: Any) -> str:
        """The absolute address of an app's route, outside of requests too; raises NoMatchFound."""
        return self.settings.SITE_URL + quote(self.registry.path_for(name, **params), safe="/:@")

    def unit_of_work(self, *, write: bool = True) -> AbstractAsyncContextManager[AsyncSession]:
        """One transaction, committed at the end; see Database.unit_of_work."""
        return self.database.unit_of_work(write=write)

    def jobs_here(self) -> AbstractAsyncContextManager[None]:
        """Run jobs in this process while it is open, unless there is Redis and so a worker, or `runs_jobs` is off."""
        return embedded_worker(self) if self.runs_jobs and not self._redis else nullcontext()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.database.close)
            stack.push_async_callback(self.bus.close)
            stack.callback(self.hashing.close)
            stack.callback(self.threads.close)
            await stack.enter_async_context(self.queue.bell.open())
            for app in self.registry.apps:
                if app.lifespan:
                    await stack.enter_async_context(app.lifespan(self))
            gc.freeze()  # what is loaded by now stays; a full collection that looks through it stops the loop for 0.1 s
            stack.callback(gc.unfreeze)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._opened.__aexit__(*error)
