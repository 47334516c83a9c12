"""Which new passwords are refused, and the one form in which all of them are hashed.

As NIST SP 800-63B has it: a length, a list of what others would try first, nothing that is known of the person, no
rules of composition, nothing cut off, and Unicode in its form NFKC, as keyboards write one letter in several ways.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType

SHORTEST, LONGEST = 8, 256
TRIVIAL = 16  # characters from which a pattern is no longer among the first that are tried
UNREAD = "\ufffd"  # what a form has in place of bytes that are no text
MARKS = r"[ -/:-@[-`{-~]"
ODD = "A password cannot have control characters, such as a line break."
SHORT = f"Choose at least {SHORTEST} characters."
COMMON = "This password is among the first that others would try. A few words in a row are good."
PERSONAL = "Choose a password that is not your e-mail or name."
INSTEAD = str.maketrans("013457@$!", "oleastasi")  # how p4$$w0rd is spelt


def prepared(password: str) -> str:
    """The password as it is hashed: one form for all ways to write the same letters."""
    return unicodedata.normalize("NFKC", password)


def objection(password: str, email: str, *names: str) -> str:
    """Why this password is refused, in words for the person; empty when it is fine.

    It reads a list of 30,000 words at first, so call it in a thread.

    Args:
        email: the person's, normalised.
        names: their own, and the site's.
    """
    text = prepared(password)
    if any(char == UNREAD or unicodedata.category(char) in ("Cc", "Cs") for char in text):
        return ODD
    if len(text) < SHORTEST:
        return SHORT
    folded = text.casefold()
    if _personal(folded, email, names):
        return PERSONAL
    return COMMON if _pattern(folded) or not _common().isdisjoint(_spellings(folded)) else ""


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _spellings(text: str) -> Iterator[str]:
    """The password, and what it is without its marks, its signs for letters, and what is hung on it at the ends."""
    core = re.sub(r"^[ -@[-`{-~]+|[ -@[-`{-~]+$", "", text)
    for each in (text, core) if 2 * len(core) >= len(text) else (text,):
        yield from (each, re.sub(MARKS, "", each), re.sub(MARKS, "", each.translate(INSTEAD)))


def _pattern(text: str) -> bool:
    """Whether it is one bit again and again, or a stretch of the alphabet, and short."""
    steps = {ord(after) - ord(before) for before, after in pairwise(text)}
    again = any(text == (text[:width] * len(text))[: len(text)] for width in (1, 2, 3))
    return len(text) < TRIVIAL and (again or steps in ({1}, {-1}))


def _personal(text: str, email: str, names: tuple[str, ...]) -> bool:
    """Whether next to nothing is left of it, read either way, without what is known of the person."""
    local, _, domain = email.casefold().partition("@")
    told = [email.casefold(), local, domain, *domain.split(".")[:-1], *re.split(r"[\W_]+", local)]
    for name in map(str.casefold, map(prepared, names)):
        told += [name, *re.split(r"[\W_]+", name)]
    swapped = [each.translate(INSTEAD) for each in told]
    words = sorted({word for word in map(_letters, told + swapped) if len(word) > 2}, key=len, reverse=True)
    for way in (_letters(text), _letters(text.translate(INSTEAD)), _letters(text)[::-1]):
        left = way
        for word in words:
            left = left.replace(word, " ")
        if left != way and sum(map(str.isalpha, left)) < 4:
            return True
    return False


@cache
def _common() -> frozenset[str]:
    """The list of the package zxcvbn, without its estimator and its other lists, which are twice as large."""
    found = find_spec("zxcvbn")
    assert found is not None
    assert found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "frequency_lists.py"
    lists = ModuleType("frequency_lists")
    SourceFileLoader(lists.__name__, str(path)).exec_module(lists)
    return frozenset(word for word in lists.FREQUENCY_LISTS["passwords"] if len(word) > 3)
