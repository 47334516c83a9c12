"""What the crawler writes into a field: text, by the field's own rules, that it takes, and text that it does not."""

import re
from contextlib import suppress

from selectolax.lexbor import LexborNode as Node

from project.core.testing.dom import File, attribute, kind, name
from project.core.testing.pages import PageError

LINES = "Words\nof a crawler"
WORDS = ["Words of a crawler", "crawler", "12345", "AB12", "a", "0197a0b0-0000-7000-8000-000000000000"]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
FILES = {"image": File("crawler.png", PNG, "image/png"), "": File("crawler.txt", b"words", "text/plain")}
TYPED = {  # of each type of input: what it takes, what it does not
    "email": ("crawler@example.com", "nobody"),
    "password": ("a long crawler password", "x"),
    "url": ("https://example.com/", "nowhere"),
    "tel": ("+49 30 123456", "x"),
    "date": ("2031-02-03", "some day"),
    "datetime-local": ("2031-02-03T04:05", "some day"),
    "time": ("04:05", "late"),
    "month": ("2031-02", "some day"),
    "week": ("2031-W05", "some day"),
    "color": ("#336699", "red"),
    "number": ("1", "many"),
    "range": ("1", "many"),
}


def valid(field: Node) -> str:
    """Text that a field takes, by its own rules."""
    if kind(field) in ("number", "range"):
        return attribute(field, "min") or str(min(1, int(float(attribute(field, "max") or 1))))
    longest, shortest = attribute(field, "maxlength") or "1000", int(attribute(field, "minlength") or 0)
    given = TYPED.get(kind(field))
    for word in [given[0]] if given else [LINES, *WORDS] if field.tag == "textarea" else WORDS:
        text = word[: int(longest)].ljust(shortest, "r")
        with suppress(re.error):
            if re.fullmatch(attribute(field, "pattern") or "[\\s\\S]*", text):
                return text
    raise PageError(f"no valid text for the field {name(field)!r} comes to mind: give it in `values`.")


def wrong(field: Node) -> str:
    """Text that a field does not take, where its rules say what that is."""
    if given := TYPED.get(kind(field)):
        return given[1]
    longest = attribute(field, "maxlength")
    return "x" * (int(longest) + 1) if longest else valid(field)
