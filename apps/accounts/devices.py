"""A user agent in words that people know their devices by."""

import re

BROWSERS = [  # the first that fits: most claim to be the later ones, too
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\bEdg(e|A|iOS)?/", "Edge"),
        (r"\b(OPR|OPT|Opera)/", "Opera"),
        (r"\bSamsungBrowser/", "Samsung Internet"),
        (r"\bVivaldi/", "Vivaldi"),
        (r"\b(Firefox|FxiOS)/", "Firefox"),
        (r"\b(HeadlessChrome|Chrome|Chromium|CriOS)/", "Chrome"),
        (r"\bVersion/\S+ .*\bSafari/", "Safari"),
    )
]
SYSTEMS = [
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\biPhone\b", "iPhone"),
        (r"\biPad\b", "iPad"),
        (r"\bAndroid\b", "Android"),
        (r"\bWindows\b", "Windows"),
        (r"\bCrOS\b", "ChromeOS"),
        (r"\b(Macintosh|Mac OS X)\b", "Mac"),
        (r"\b(Linux|X11)\b", "Linux"),
    )
]
PROGRAM = re.compile(r"[A-Za-z][A-Za-z0-9 ._-]{0,29}(?=/|$)")
UNKNOWN = "Unknown device"


def device_of(user_agent: str) -> str:
    """Such as "Firefox on Linux", "iPhone", "curl"; "Unknown device" for what says nothing that can be read."""
    browser, system = _first(BROWSERS, user_agent), _first(SYSTEMS, user_agent)
    if browser or system:
        return " on ".join(filter(None, (browser, system)))
    program = PROGRAM.match(user_agent)
    return program[0].strip() if program else UNKNOWN


def _first(known: list[tuple[re.Pattern[str], str]], text: str) -> str:
    return next((name for pattern, name in known if pattern.search(text)), "")
