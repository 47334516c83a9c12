"""Where static files come from: the site, each app, the core, then packages; the first that has a name wins."""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from project.core.conf import ROOT
from project.core.runtime import Runtime

PREFIX = "/static/"
CORE_STATIC = Path(__file__).resolve().parents[2] / "static"
NAME = re.compile(r"(?:[^./\\:\0][^/\\:\0]*/)*[^./\\:\0][^/\\:\0]*")
NOT_SERVED = (".py", ".pyc", "~")


class Sources:
    """Folders in the order in which they are searched, each with the prefix of its files' names."""

    def __init__(self, folders: Sequence[tuple[str, Path]]) -> None:
        self.folders = [(prefix, folder.resolve()) for prefix, folder in folders]

    def all(self, name: str) -> Iterator[Path]:
        """Every file of that name, the one that wins first."""
        for prefix, folder in self.folders:
            if name.startswith(prefix) and (path := inside(folder, name.removeprefix(prefix))):
                yield path

    def find(self, name: str) -> Path | None:
        """The file that wins, or None."""
        return next(self.all(name), None)

    def files(self) -> dict[str, Path]:
        """{name: path} of every file that wins."""
        found: dict[str, Path] = {}
        for prefix, folder in self.folders:
            for entry in folder.rglob("*"):
                name = entry.relative_to(folder).as_posix()
                if path := inside(folder, name):
                    found.setdefault(prefix + name, path)
        return dict(sorted(found.items()))


def inside(folder: Path, name: str) -> Path | None:
    """The file of that name in the folder; None for dotfiles, source code, and what `..` or a link would reach."""
    if not NAME.fullmatch(name) or name.endswith(NOT_SERVED):
        return None
    try:
        path = (folder / name).resolve(strict=True)
        return path if path.is_relative_to(folder) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # absent, too long, not encodable, a circle of links
        return None


def site_folders(runtime: Runtime) -> list[Path]:
    """The folders one edits: the site's, each app's, the core's."""
    return [ROOT / "static", *(app.path / "static" for app in runtime.registry.apps), CORE_STATIC]


def sources_of(runtime: Runtime) -> Sources:
    """All sources of a site."""
    packages = [("vendor/", vendor_folder(runtime)), ("swagger/", swagger_folder())]
    return Sources([*(("", folder) for folder in site_folders(runtime)), *packages])


def vendor_folder(runtime: Runtime) -> Path:
    """Where the browser assets of the lock are put at set-up."""
    return runtime.settings.DATA_DIR / "vendor"


def swagger_folder() -> Path:
    """The files of Swagger UI, from their wheel; the package itself is not imported."""
    spec = importlib.util.find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "resources"
