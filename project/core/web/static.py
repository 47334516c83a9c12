"""Static files as they lie in their folders: several behind one address, the site's own first."""

import importlib.util
import os
from pathlib import Path

from starlette.staticfiles import StaticFiles

from project.core.conf import ROOT
from project.core.runtime import Runtime

CORE_STATIC = Path(__file__).resolve().parents[1] / "static"


class Folders(StaticFiles):
    """Starlette's static files over an ordered list of folders; missing ones are passed over."""

    def __init__(self, folders: list[Path]) -> None:
        self._folders = [folder for folder in folders if folder.is_dir()]
        super().__init__(directory=None, packages=None, check_dir=False)

    def get_directories(
        self, directory: str | os.PathLike[str] | None = None, packages: object = None
    ) -> list[str | os.PathLike[str]]:
        """The folders, in the order in which they are searched."""
        return list(self._folders)


def site_folders(runtime: Runtime) -> list[Path]:
    """Where /static looks: the site, each app, the core."""
    return [ROOT / "static", *(app.path / "static" for app in runtime.registry.apps), CORE_STATIC]


def vendor_folder(runtime: Runtime) -> Path:
    """Where the browser assets of the lock are put at set-up."""
    return runtime.settings.DATA_DIR / "vendor"


def swagger_folder() -> Path:
    """The files of Swagger UI, from their wheel; the package itself is not imported."""
    spec = importlib.util.find_spec("fastapi_swagger")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "resources"
