"""Bodies are inflated piece by piece, and what is read from them costs little."""

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest

from apps.fetcher.body import CODECS, STEP, BadBody, charset_of, inflater, title_of

WORDS = b"Words that are said. " * 10_000
BOMB = 50_000_000


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("", bytes),
    ("identity", bytes),
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("GZIP", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
]


@pytest.mark.parametrize(("encoding", "pack"), PACKERS)
@pytest.mark.parametrize("size", [1, 1000, 10**9])
def test_what_was_packed_is_unpacked(encoding: str, pack: Callable[[bytes], bytes], size: int) -> None:
    packed, inflate = pack(WORDS), inflater(encoding)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert b"".join(piece for chunk in chunks for piece in inflate.feed(chunk)) == WORDS
    inflate.end()


@pytest.mark.parametrize(("encoding", "pack"), [*PACKERS[2:4], *PACKERS[5:]])
def test_a_part_is_not_taken_for_the_whole(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    inflate = inflater(encoding)
    list(inflate.feed(pack(WORDS)[:-9]))
    with pytest.raises(BadBody):
        inflate.end()


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_what_is_not_packed_is_refused(encoding: str) -> None:
    with pytest.raises(BadBody):
        list(inflater(encoding).feed(b"plain words"))


@pytest.mark.parametrize("encoding", ["zstd", "gzip, gzip", "compress"])
def test_what_was_not_asked_for_is_refused(encoding: str) -> None:
    with pytest.raises(BadBody):
        inflater(encoding)


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("br", lambda data: brotli.compress(data, quality=1))]
)
def test_a_bomb_comes_out_in_small_pieces(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb, inflate, total = pack(bytes(BOMB)), inflater(encoding), 0
    tracemalloc.start()
    for piece in inflate.feed(bomb):
        total += len(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (total, peak < 20 * STEP) == (BOMB, True)


@pytest.mark.parametrize(
    ("content_type", "head", "charset"),
    [
        ("text/html; charset=ISO-8859-1", b"", "iso-8859-1"),
        ('text/html; charset="Shift_JIS"', b"", "shift-jis"),
        ("text/html", b'<meta charset="windows-1252">', "windows-1252"),
        ("text/html; charset=utf-8", b"\xff\xfea\0", "utf-16"),
        ("text/html", b"", "utf-8"),
        ("text/html; charset=punycode", b"", "utf-8"),
        ("text/html; charset=unicode_escape", b"<meta charset=latin1>", "latin1"),
    ],
)
def test_the_charset_is_one_that_is_safe_to_use(content_type: str, head: bytes, charset: str) -> None:
    assert charset_of(content_type, head) == charset


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<html><TITLE lang=en>\n Fish &amp; <b> chips\t</Title></html>", "Fish & <b> chips"),
        ("<title></title>", ""),
        ("<title>never closed", ""),
        ("<titles>no</titles>", ""),
        ("nothing", ""),
        ("<title>a\x1b[31m\x00b\u202e</title>", "a [31m b"),
        (f"<title>{'x' * 5000}</title>", "x" * 300),
        (f"<title>&#{'9' * 9000};</title>", "\ufffd"),
    ],
)
def test_a_title_is_one_short_line(text: str, title: str) -> None:
    assert title_of(text.encode(), "utf-8") == title


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-16-le", "shift-jis", "iso-2022-jp", "gb18030"])
def test_a_title_is_read_in_its_charset(charset: str) -> None:
    assert title_of("<title>日本 page</title>".encode(charset), charset) == "日本 page"


@pytest.mark.parametrize("charset", sorted(CODECS))
def test_every_charset_that_is_known_can_be_read(charset: str) -> None:
    assert title_of("<title>page</title>".encode(charset.replace("windows-", "cp")), charset) == "page"


@pytest.mark.parametrize("text", ["<title", "<title>", "<title ", "</title><"])
def test_looking_for_a_title_takes_little_time(text: str) -> None:
    text *= 9_000
    started = time.process_time()
    title_of(text.encode(), "utf-8")
    assert time.process_time() - started < 0.05
