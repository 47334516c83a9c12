"""References inside styles and scripts: each is led to the hashed name of the file it means."""

import posixpath
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

from project.core.web.static.sources import PREFIX

_STYLE = re.compile(
    r"/\*[#@]\s*sourceMappingURL=(?P<map>[^\s*]+)\s*\*/"
    r"|/\*.*?\*/"
    r"""|url\(\s*(?:"(?P<double>[^"\n]*)"|'(?P<single>[^'\n]*)'|(?P<bare>[^"'()\s]+))\s*\)"""
    r"""|@import\s+(?:"(?P<import_double>[^"\n]*)"|'(?P<import_single>[^'\n]*)')"""
    r"""|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""",
    re.S | re.I,
)
_SCRIPT = re.compile(r"^//[#@]\s*sourceMappingURL=(?P<map>\S+)\s*$", re.M)
PATTERNS = {".css": _STYLE, ".js": _SCRIPT, ".mjs": _SCRIPT}
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//|/(?!static/)|[?#]|$", re.I)


def rewrite(name: str, text: str, hashed: Callable[[str], str | None]) -> str:
    """The text of the file `name` with its references led to hashed names.

    `hashed` gives a name's hashed name, or None when there is no such file. What leads to another host, to a
    place outside /static/ or to a part of the page is left alone, and so is a source map that was not shipped.
    Raises ValueError naming the file and the reference that leads nowhere.
    """

    def replaced(match: re.Match[str]) -> str:
        group = match.lastgroup
        if group is None or _ELSEWHERE.match(match[group]):
            return match[0]
        path, rest = re.match(r"([^?#]*)(.*)", match[group], re.S).groups()  # type: ignore[union-attr]
        target = unquote(path)
        target = target.removeprefix(PREFIX) if path.startswith(PREFIX) else f"{PurePosixPath(name).parent}/{target}"
        target = posixpath.normpath(target)
        found = hashed(target)
        if found is None and group == "map":
            return match[0]
        if found is None:
            raise ValueError(f"{name} refers to {match[group]!r}, but there is no static file {target!r}.")
        new = quote(posixpath.relpath(found, PurePosixPath(name).parent)) + rest
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + new + match[0][end:]

    pattern = PATTERNS.get(PurePosixPath(name).suffix)
    return pattern.sub(replaced, text) if pattern else text
