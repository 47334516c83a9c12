"""Serving: /static/, answered inside the guard, before anything else of the site is asked."""

import asyncio
from contextlib import suppress
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from project.core.errors import ConfigurationError, nearest
from project.core.log import get_logger
from project.core.runtime import Runtime
from project.core.web.problems import Refusal, answer
from project.core.web.static.collecting import HASHED, read_manifest
from project.core.web.static.files import ENDINGS, FOREVER, REVALIDATE, Headers, StaticFile, read
from project.core.web.static.sources import PREFIX, inside, sources_of

log = get_logger(__name__)
MEMORY = 67_108_864
NOT_FOUND = Refusal(404, "not_found", "Not Found")
ONLY_READ = Refusal(405, "method_not_allowed", "Method Not Allowed", headers={"Allow": "GET, HEAD"})


class StaticFiles:
    """The site's static files: as they were collected, else as they lie in their folders.

    `strict` makes a name without a file an error in templates; elsewhere it is logged once.
    Raises ConfigurationError when what was collected is not complete.
    """

    def __init__(self, runtime: Runtime) -> None:
        settings = runtime.settings
        self.sources = sources_of(runtime)
        self.root = settings.static_root.resolve()
        self.strict = settings.DEBUG
        self._url = settings.static_url
        # Fonts and modules are asked for with CORS when they come from another host.
        cors = (b"access-control-allow-origin", settings.SITE_URL.encode())
        self._more: Headers = [cors] if settings.static_origin else []
        self._manifest = {} if settings.DEBUG else read_manifest(self.root)
        self._missed: set[str] = set()
        self._memory = MEMORY
        self._files: dict[str, StaticFile] = {}
        for name, hashed in self._manifest.items():
            self._keep(name, hashed)

    def has(self, name: str) -> bool:
        """Whether there is a static file of that name."""
        return name in self._manifest or self.sources.find(name) is not None

    def url(self, name: str) -> str:
        """The address of a static file, for templates; raises LookupError for a missing one when `strict`."""
        hashed = self._manifest.get(name)
        if hashed is None and (self._manifest or self.strict) and name not in self._missed:
            self._complain(name)
        return self._url + quote(hashed or name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request under /static/."""
        if scope["type"] != "http":
            raise HTTPException(404)
        name = scope["path"][len(PREFIX) :]
        refusal = NOT_FOUND
        if scope["method"] not in ("GET", "HEAD"):
            refusal = ONLY_READ
        elif file := self._files.get(name) or await asyncio.to_thread(self._look_up, name):
            with suppress(FileNotFoundError):
                await file(scope, receive, send)
                return
        response = await answer(Request(scope, receive), refusal)
        await response(scope, receive, send)

    def _complain(self, name: str) -> None:
        if self.strict and (self._manifest or self.sources.find(name) is None):
            close = nearest(name, list(self._manifest or self.sources.files()))
            again = " If it is new, run: python3 manage.py collectstatic" if self._manifest else ""
            raise LookupError(f"There is no static file {name!r}.{close}{again}")
        if not self.strict:
            self._missed.add(name)
            log.error("a template names a static file that was not collected", name=name)

    def _keep(self, name: str, hashed: str) -> None:
        """Load a collected file under both its names."""
        file = self._collected(hashed)
        if file is None:
            advice = "run: python3 manage.py collectstatic"
            raise ConfigurationError(f"{self.root / hashed} is in the manifest, but not there; {advice}")
        self._files[hashed] = file
        self._files[name] = StaticFile(name, list(file.contents.values()), file.modified, REVALIDATE, self._more)

    def _look_up(self, name: str) -> StaticFile | None:
        """A file that is not held: of an older or newer release, or in its source folder."""
        if self._manifest and (file := self._collected(name)):
            self._files[name] = file
            return file
        path = self.sources.find(name)
        if path is None:
            return None
        try:
            stat = path.stat()
            content = read(path, f"{stat.st_mtime_ns:x}-{stat.st_size:x}")
        except OSError:  # just removed, or not readable for us
            return None
        return StaticFile(name, [content], stat.st_mtime, REVALIDATE, self._more)

    def _collected(self, name: str) -> StaticFile | None:
        match = HASHED.search(name)
        path = inside(self.root, name) if match else None
        if match is None or path is None:
            return None
        contents = []
        for encoding, ending in ENDINGS.items():
            if (encoded := path.with_name(path.name + ending)).is_file():
                tag = match["hash"] if encoding == "identity" else f"{match['hash']}-{encoding}"
                contents.append(read(encoded, tag, encoding, in_memory=self._memory > 0))
        self._memory -= sum(len(content.body or b"") for content in contents)
        return StaticFile(name, contents, path.stat().st_mtime, FOREVER, self._more)


class StaticLayer:
    """Hands what is under /static/ to the static files and the rest on."""

    def __init__(self, app: ASGIApp, files: StaticFiles) -> None:
        self.app = app
        self.files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self.files if ours else self.app)(scope, receive, send)
