"""Collecting: every file under a name that holds its hash, compressed beside it, and a manifest that names them.

What lies under a hashed name never changes, so writing one disturbs nobody. The new release counts once the
manifest is replaced, which is one rename: whatever fails or is killed before that leaves the former one whole.
"""

import gzip
import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from project.core.errors import ConfigurationError
from project.core.web.static.rewriting import PATTERNS, rewrite
from project.core.web.static.sources import Sources

MANIFEST = "manifest.json"
DIGITS = 12
_NAME = rf"\.(?P<hash>[0-9a-f]{{{DIGITS}}})(?:\.[^./]+)?"
HASHED = re.compile(rf"{_NAME}$")
OURS = re.compile(rf"(?:{_NAME}(?:\.br|\.gz)?|\.draft)$")
PACKED = {".gz", ".br", ".zip", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".woff", ".woff2", ".mp4", ".webm"}


@dataclass
class Report:
    """What collecting did, or would do: hashed names written, names of files removed, how many stayed as they were."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: int = 0


class HashedNames:
    """The hashed name of each file; the hash of a style covers the hashed names inside it."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files
        self.rewritten: dict[str, bytes] = {}
        self._names: dict[str, str] = {}
        self._open: list[str] = []

    def get(self, name: str) -> str | None:
        """The hashed name, None without such a file; raises ValueError for a reference that leads nowhere."""
        if name not in self.files:
            return None
        if name in self._open:
            raise ValueError(f"These styles import each other in a circle: {' → '.join([*self._open, name])}.")
        if name not in self._names:
            self._open.append(name)
            path = PurePosixPath(name)
            self._names[name] = str(path.with_name(f"{path.stem}.{self._digest(name)[:DIGITS]}{path.suffix}"))
            self._open.pop()
        return self._names[name]

    def _digest(self, name: str) -> str:
        if PurePosixPath(name).suffix not in PATTERNS:
            with self.files[name].open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        text = self.files[name].read_bytes().decode(errors="surrogateescape")
        self.rewritten[name] = rewrite(name, text, self.get).encode(errors="surrogateescape")
        return hashlib.sha256(self.rewritten[name]).hexdigest()


def collect(sources: Sources, root: Path, *, clear: bool = False, dry_run: bool = False) -> Report:
    """Bring every source file to `root`; with `clear` remove the files of former releases.

    Raises ValueError for a reference that leads nowhere, ConfigurationError when `root` is itself collected,
    OSError when it cannot be written.
    """
    if any(root.resolve().is_relative_to(folder) for _, folder in sources.folders):
        raise ConfigurationError(f"STATIC_ROOT {root} lies in a folder that is collected; choose another.")
    names, report = HashedNames(sources.files()), Report()
    manifest = {name: str(names.get(name)) for name in names.files}
    for name, hashed in manifest.items():
        content = names.rewritten.get(name) or names.files[name].read_bytes()
        if (root / hashed).is_file() and (root / hashed).stat().st_size == len(content):
            report.unchanged += 1
            continue
        report.written.append(hashed)
        if not dry_run:
            _write_all(root / hashed, content)
    if not dry_run:
        _write(root / MANIFEST, json.dumps({"files": manifest}, indent=1).encode())
    for path in _former(root, set(manifest.values())) if clear else []:
        report.removed.append(path.relative_to(root).as_posix())
        if not dry_run:
            path.unlink()
    return report


def read_manifest(root: Path) -> dict[str, str]:
    """{name: hashed name}, empty when nothing was collected; raises ConfigurationError when it cannot be read."""
    try:
        files = json.loads((root / MANIFEST).read_bytes())["files"]
        return {str(name): str(hashed) for name, hashed in files.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        advice = "run: python3 manage.py collectstatic"
        raise ConfigurationError(f"{root / MANIFEST} cannot be read; {advice}") from None


def _former(root: Path, current: set[str]) -> list[Path]:
    """Files of our making which the manifest does not name; nothing else in the folder is touched."""
    kept = {f"{name}{ending}" for name in current for ending in ("", ".br", ".gz")}
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and OURS.search(path.name)]
    return [path for path in paths if path.relative_to(root).as_posix() not in kept]


def _write_all(path: Path, content: bytes) -> None:
    """The file and, where they are smaller, its compressed forms; the file last, since it is what is looked for."""
    import brotli

    if path.suffix.lower() not in PACKED:
        for ending, packed in ((".br", brotli.compress(content)), (".gz", gzip.compress(content, 9, mtime=0))):
            if len(packed) < len(content):
                _write(path.with_name(path.name + ending), packed)
    _write(path, content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    draft.write_bytes(content)
    draft.replace(path)
