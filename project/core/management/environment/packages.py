"""Which packages an environment has: read from the names of its folders, so that asking is cheap."""

import re
from collections.abc import Iterable
from pathlib import Path

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*])?\s*(?:>=\s*([\d.]+))?\s*$")
_METADATA = re.compile(r"([A-Za-z0-9._]+)-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info$")
_PINNED = re.compile(r"^([a-z0-9._-]+)==", re.MULTILINE)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _release(version: str) -> tuple[int, ...]:
    """`2.1` → (2, 1, 0, 0): enough to tell whether a stated minimum is reached."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:4]]
    return tuple(numbers + [0] * (4 - len(numbers)))


def installed(paths: Iterable[str]) -> dict[str, str]:
    """Version by distribution name in the import path `paths`; the first folder wins, as for imports."""
    found: dict[str, str] = {}
    for folder in paths:
        try:
            entries = [entry.name for entry in Path(folder).iterdir()]
        except OSError:
            continue
        for entry in entries:
            if match := _METADATA.match(entry):
                found.setdefault(_normal(match[1]), match[2])
    return found


def lacking(root: Path, paths: Iterable[str], *, dev: bool) -> list[str]:
    """What the pyproject.toml of `root` (with its extra `dev`) asks for and `paths` lack, or have too old."""
    import tomllib  # slow to import, and not needed where the stamp has answered

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + (project["optional-dependencies"]["dev"] if dev else [])
    have = installed(paths)
    lacks = []
    for requirement in wanted:
        # One with a marker may rightly be absent here; the others are sample enough.
        if match := _REQUIREMENT.match(requirement):
            name, minimum = _normal(match[1]), match[2] or "0"
            if name not in have or _release(have[name]) < _release(minimum):
                lacks.append(name)
    return lacks


def pinned(lock: Path) -> list[str]:
    """The names a lock pins, in its order."""
    return _PINNED.findall(lock.read_text(encoding="utf-8"))


def some_of(names: list[str]) -> str:
    """A few names for a sentence: `fastapi, sqlmodel and 12 more`."""
    if len(names) <= 3:
        return ", ".join(names)
    return f"{', '.join(names[:2])} and {len(names) - 2} more"
