"""The browser's files: htmx and its extensions, taken out of the one hashed wheel that assets.lock names."""

import sys
from pathlib import Path

from project.core.management.environment.dotenv import data_dir
from project.core.management.environment.installer import exclusive, find_installer, install

_LOCK = "project/requirements/assets.lock"
_FILES = {"htmx-2.min.js": "htmx.min.js"} | {
    f"ext/hx-{name}-2.min.js": f"ext/{name}.js" for name in ("head", "preload", "sse", "ws")
}  # name in the wheel → name in the folder `vendor`


def assets_present(root: Path) -> bool:
    """Whether the folder `vendor` of DATA_DIR has the files of assets.lock, as that stands now."""
    vendor = data_dir(root) / "vendor"
    complete = all((vendor / name).exists() for name in (".stamp", *_FILES.values()))
    return complete and (vendor / ".stamp").read_bytes() == (root / _LOCK).read_bytes()


def fetch_assets(root: Path) -> None:
    """Put the files of the hashed wheel in place of the old ones, which stay on SetupStoppedError or OSError."""
    import shutil

    lock, data = root / _LOCK, data_dir(root)
    data.mkdir(parents=True, exist_ok=True)
    vendor, draft = data / "vendor", data / "vendor.draft"
    with exclusive(data / "vendor.lock", "Another start is fetching htmx; this one waits for it."):
        if assets_present(root):
            return
        shutil.rmtree(draft, ignore_errors=True)  # of a start that was killed
        try:
            wheel = draft / "wheel" / "django_htmx" / "static" / "django_htmx"
            install(lock, [*find_installer(Path(sys.executable)), "--no-deps", "--target", str(draft / "wheel")])
            (draft / "vendor" / "ext").mkdir(parents=True)
            for name, new_name in _FILES.items():
                (draft / "vendor" / new_name).write_bytes((wheel / name).read_bytes())
            (draft / "vendor" / ".stamp").write_bytes(lock.read_bytes())
            if vendor.exists():
                vendor.rename(draft / "old")
            (draft / "vendor").rename(vendor)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
