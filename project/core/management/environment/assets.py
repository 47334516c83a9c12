"""The browser's files: htmx and its extensions, taken out of the one hashed wheel that assets.lock names."""

import hashlib
import sys
from pathlib import Path

from project.core.management.environment.dotenv import data_dir

_FILES = {"htmx-2.min.js": "htmx.min.js"} | {
    f"ext/hx-{name}-2.min.js": f"ext/{name}.js" for name in ("head", "preload", "sse", "ws")
}  # name in the wheel → name in the folder `vendor`


def assets_present(root: Path) -> bool:
    """Whether the folder `vendor` of DATA_DIR has the files of assets.lock, as that stands now."""
    vendor = data_dir(root) / "vendor"
    complete = all((vendor / name).exists() for name in (".stamp", *_FILES.values()))
    return complete and (vendor / ".stamp").read_text(encoding="utf-8") == _digest(root)


def fetch_assets(root: Path) -> None:
    """Download the wheel, check its hash, and put its files in place of the old ones: all of them or none.

    Raises:
        SetupStoppedError: it cannot be fetched, or is not what the lock says; the old files stay.
        OSError: DATA_DIR cannot be written.
    """
    import shutil

    from project.core.management.environment.exclusive import exclusive

    data = data_dir(root)
    data.mkdir(parents=True, exist_ok=True)
    vendor, draft = data / "vendor", data / "vendor.draft"
    with exclusive(data / "vendor.lock", "Another start is fetching htmx; this one waits for it."):
        if assets_present(root):
            return
        shutil.rmtree(draft, ignore_errors=True)  # of a start that was killed
        try:
            _choose(_unpacked(root, draft / "wheel"), draft / "vendor", _digest(root))
            if vendor.exists():
                vendor.rename(draft / "old")
            (draft / "vendor").rename(vendor)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _unpacked(root: Path, target: Path) -> Path:
    from project.core.management.environment.installer import find_installer, install

    lock = _lock(root)
    files_only = ("--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(target))
    installer = find_installer(Path(sys.executable))
    install(installer("install", *files_only, "-r", str(lock)), lock, lambda: 0)
    return target / "django_htmx" / "static" / "django_htmx"


def _choose(source: Path, target: Path, digest: str) -> None:
    (target / "ext").mkdir(parents=True)
    for name, new_name in _FILES.items():
        (target / new_name).write_bytes((source / name).read_bytes())
    (target / ".stamp").write_text(digest, encoding="utf-8")


def _lock(root: Path) -> Path:
    return root / "project" / "requirements" / "assets.lock"


def _digest(root: Path) -> str:
    return hashlib.sha256(_lock(root).read_bytes()).hexdigest()
