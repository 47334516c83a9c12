"""The files of a project, and the record of the framework's own: which they were when it was started or upgraded."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

FRAMEWORK = ("project/core", "tests/core")
RECORD = "project/core/record.json"
NEVER = {".git", ".venv", ".data", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "build", "dist"}
PRIVATE = {".env", ".venv.lock"}


def files_of(root: Path) -> list[str]:
    """The paths of a project's own files: what git knows and does not ignore, or without git all that look so."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(words, cwd=root, capture_output=True, check=True) if (root / ".git").exists() else None
    except (OSError, subprocess.CalledProcessError):
        listed = None
    found = listed.stdout.decode().split("\0") if listed else _walk(root)
    return sorted(path for path in found if path and path not in PRIVATE and (root / path).is_file())


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NEVER and not name.endswith(".egg-info")]
        yield from (Path(folder, name).relative_to(root).as_posix() for name in names if not name.endswith(".pyc"))


def blob(content: bytes) -> str:
    """What git calls a file with this content, so that git finds the original again."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def framework_of(root: Path) -> dict[str, str]:
    """{path: blob} of the framework's files as they are."""
    own = [path for path in files_of(root) if path.startswith(tuple(f"{each}/" for each in FRAMEWORK))]
    return {path: blob((root / path).read_bytes()) for path in own if path != RECORD}


def record(root: Path, version: str) -> None:
    """Write down the framework's files as they are now."""
    text = json.dumps({"version": version, "files": framework_of(root)}, indent=1)
    (root / RECORD).write_text(text + "\n")


def recorded(root: Path) -> tuple[str, dict[str, str]] | None:
    """The version and {path: blob} that were written down, or None for the framework's own repository."""
    try:
        told = json.loads((root / RECORD).read_text())
    except FileNotFoundError:
        return None
    return told["version"], told["files"]


def original(root: Path, path: str, name: str, source: Path | None) -> str | None:
    """A framework's file as it was: from the project's git, or from another copy of the framework; None if neither."""
    if source and (source / path).is_file() and blob((source / path).read_bytes()) == name:
        return (source / path).read_text()
    found = subprocess.run(["git", "cat-file", "blob", name], cwd=root, capture_output=True, check=False)
    return found.stdout.decode() if found.returncode == 0 else None
