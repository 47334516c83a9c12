"""Static files as they are answered: from memory or disk, compressed, in parts, or not at all."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Message

from project.core.asgi import create_app
from project.core.conf import ROOT
from project.core.errors import ConfigurationError
from project.core.testing.plugin import MakeSettings, NewClient, running
from project.core.web.static import serving
from project.core.web.static.collecting import collect, read_manifest
from project.core.web.static.conditional import judge
from project.core.web.static.files import IN_MEMORY, StaticFile, media_type, preferred, read
from project.core.web.static.sources import CORE_STATIC, Sources

pytestmark = pytest.mark.any_database

STYLE = b"body { color: rebeccapurple; }\n" * 100
NOISE = os.urandom(IN_MEMORY * 3)
PLAIN = {"Accept-Encoding": "identity"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of static files to collect."""
    folder = tmp_path / "files"
    (folder / "css").mkdir(parents=True)
    (folder / "css" / "a.css").write_bytes(STYLE)
    (folder / "film.mp4").write_bytes(NOISE)
    return folder


@pytest.fixture
async def collected(files: Path, make_settings: MakeSettings, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The site with those files besides its own, collected."""
    folders = [("", folder) for folder in (files, ROOT / "static", CORE_STATIC)]
    collect(Sources(folders), tmp_path / "data" / "static")
    settings = make_settings(DATA_DIR=tmp_path / "data", DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    async with running(settings) as app:
        yield app


@pytest.fixture
def client(collected: FastAPI, new_client: NewClient) -> httpx2.AsyncClient:
    """A client on it."""
    return new_client(collected)


@pytest.fixture
def style(collected: FastAPI) -> str:
    """The address templates give for css/a.css."""
    url: str = collected.state.static.url("css/a.css")
    return url


async def test_a_hashed_file_is_kept_forever_and_by_everybody(client: httpx2.AsyncClient, style: str) -> None:
    for _ in range(2):
        answer = await client.get(style)
        assert answer.content == STYLE
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["vary"] == "Accept-Encoding"
        assert len(answer.headers.get_list("x-request-id")) == 1
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self'" in answer.headers["content-security-policy"]


async def test_a_plain_name_is_asked_for_again_each_time(client: httpx2.AsyncClient, style: str) -> None:
    plain = await client.get("/static/css/a.css")
    assert (plain.content, plain.headers["cache-control"]) == (STYLE, "no-cache")
    assert plain.headers["etag"] == (await client.get(style)).headers["etag"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("*", "br"),
        ("br;q=0, *", "gzip"),
        ("gzip;q=0.5, identity", "identity"),
        ("gzip;q=0.5", "gzip"),
        ("gzip;q=0", "identity"),
        ("", "identity"),
        ("deflate", "identity"),
        ("identity;q=0, gzip;q=0.001", "gzip"),
        ("*;q=0", None),
        ("br;q=nonsense, gzip", "gzip"),
    ],
)
def test_the_best_encoding_the_client_takes_is_chosen(accept: str, chosen: str | None) -> None:
    assert next(iter(preferred(accept)), None) == chosen
    assert preferred(None) == ("identity",)


async def test_each_encoding_has_a_strong_tag_of_its_own(client: httpx2.AsyncClient, style: str) -> None:
    tags = {}
    for coding in ("br", "gzip", "identity"):
        answer = await client.get(style, headers={"Accept-Encoding": coding})
        assert answer.content == STYLE
        assert answer.headers.get("content-encoding", "identity") == coding
        tags[coding] = answer.headers["etag"]
        assert tags[coding].startswith('"')
        again = await client.get(style, headers={"Accept-Encoding": coding, "If-None-Match": tags[coding]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tags[coding]
        assert again.headers["vary"] == "Accept-Encoding"
        assert again.headers["cache-control"] == answer.headers["cache-control"]
        assert "content-type" not in again.headers
    assert len(set(tags.values())) == 3
    other = await client.get(style, headers={"Accept-Encoding": "gzip", "If-None-Match": tags["br"]})
    assert other.status_code == 200


ETAG, NOW = b'"abc"', int(time.time())
OLD = 1_700_000_000  # the same in every process that collects these tests


def day(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 200),
        ({b"if-none-match": b'"abc"'}, 304),
        ({b"if-none-match": b'"x", W/"abc"'}, 304),
        ({b"if-none-match": b"*"}, 304),
        ({b"if-none-match": b'"ab"'}, 200),
        ({b"if-none-match": b"abc"}, 200),
        ({b"if-none-match": b'"x"', b"if-modified-since": day(NOW)}, 200),
        ({b"if-modified-since": day(OLD)}, 304),
        ({b"if-modified-since": day(OLD - 1)}, 200),
        ({b"if-modified-since": b"yesterday"}, 200),
        ({b"if-modified-since": b"Mon, 99 Foo 0000 99:99:99 GMT"}, 200),
        ({b"if-match": b'"abc"'}, 200),
        ({b"if-match": b"*"}, 200),
        ({b"if-match": b'W/"abc"'}, 412),
        ({b"if-match": b'"x"'}, 412),
        ({b"if-unmodified-since": day(OLD)}, 200),
        ({b"if-unmodified-since": day(OLD - 1)}, 412),
    ],
)
def test_preconditions_are_judged_in_the_order_of_the_standard(given: dict[bytes, bytes], status: int) -> None:
    assert judge("GET", given, ETAG, OLD, 100, alone=True).status == status


@pytest.mark.parametrize(
    ("value", "status", "start", "stop"),
    [
        (b"bytes=0-0", 206, 0, 1),
        (b"bytes=10-19", 206, 10, 20),
        (b"Bytes=90-", 206, 90, 100),
        (b"bytes=-10", 206, 90, 100),
        (b"bytes=-1000", 206, 0, 100),
        (b"bytes=0-1000", 206, 0, 100),
        (b"bytes=99-99", 206, 99, 100),
        (b"bytes=100-", 416, 0, 0),
        (b"bytes=-0", 416, 0, 0),
        (b"bytes=" + b"9" * 80 + b"-", 416, 0, 0),
        (b"bytes=20-10", 200, 0, 100),
        (b"bytes=0-1,5-6", 200, 0, 100),
        (b"bytes=", 200, 0, 100),
        (b"bytes=-", 200, 0, 100),
        (b"bytes=a-b", 200, 0, 100),
        (b"bytes=+1-5", 200, 0, 100),
        (b"lines=0-5", 200, 0, 100),
        (b"bytes=" + b"9" * 5000 + b"-", 200, 0, 100),
    ],
)
def test_one_range_is_sent_and_what_is_not_understood_means_the_whole(
    value: bytes, status: int, start: int, stop: int
) -> None:
    verdict = judge("GET", {b"range": value}, ETAG, OLD, 100, alone=True)
    assert (verdict.status, verdict.start, verdict.stop) == (status, start, stop)
    assert judge("HEAD", {b"range": value}, ETAG, OLD, 100, alone=True).status == 200


@pytest.mark.parametrize(
    ("value", "alone", "status"),
    [
        (b'"abc"', False, 206),
        (b'W/"abc"', True, 200),
        (b'"x"', True, 200),
        (day(OLD), True, 206),
        (day(OLD), False, 200),
        (day(OLD + 5), True, 200),
        (b"nonsense", True, 200),
    ],
)
def test_a_range_is_sent_only_of_the_file_the_client_has_begun(value: bytes, alone: bool, status: int) -> None:
    given = {b"range": b"bytes=0-9", b"if-range": value}
    assert judge("GET", given, ETAG, OLD, 100, alone=alone).status == status


def test_a_date_of_this_very_second_proves_nothing() -> None:
    later = NOW + 1_000_000
    given = {b"range": b"bytes=0-9", b"if-range": day(later)}
    assert judge("GET", given, ETAG, later, 100, alone=True).status == 200


async def test_a_part_of_a_file_says_which_part(client: httpx2.AsyncClient, style: str) -> None:
    part = await client.get(style, headers=PLAIN | {"Range": "bytes=5-9"})
    assert (part.status_code, part.content) == (206, STYLE[5:10])
    assert part.headers["content-range"] == f"bytes 5-9/{len(STYLE)}"
    assert part.headers["content-length"] == "5"
    assert part.headers["content-type"] == "text/css; charset=utf-8"
    beyond = await client.get(style, headers=PLAIN | {"Range": "bytes=99999-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(STYLE)}")
    assert beyond.headers["cache-control"] == "no-store"


async def test_head_says_what_get_would(client: httpx2.AsyncClient, style: str) -> None:
    for url in (style, "/static/film.mp4"):
        get, head = await client.get(url, headers=PLAIN), await client.head(url, headers=PLAIN)
        assert head.content == b""
        assert {k: v for k, v in head.headers.items() if k != "x-request-id"} == {
            k: v for k, v in get.headers.items() if k != "x-request-id"
        }


async def test_other_methods_are_refused_in_the_sites_words(client: httpx2.AsyncClient, style: str) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = await client.request(method, style)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        assert "does not answer to that kind of request" in answer.text


async def test_a_foreign_host_gets_no_static_file(client: httpx2.AsyncClient, style: str) -> None:
    assert (await client.get(style, headers={"Host": "evil.example"})).status_code == 400


async def test_a_missing_file_is_not_kept_by_caches(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/static/css/none.css")
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "private, no-cache")
    assert "Cookie" in answer.headers["vary"]


async def test_a_large_file_comes_from_disk_in_pieces(
    collected: FastAPI, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    file = collected.state.static._files["film.mp4"]
    assert file.contents["identity"].body is None
    whole = await client.get("/static/film.mp4")
    assert (whole.content, whole.headers["content-length"]) == (NOISE, str(len(NOISE)))
    assert "vary" not in whole.headers
    part = await client.get("/static/film.mp4", headers={"Range": f"bytes={IN_MEMORY - 2}-{IN_MEMORY + 2}"})
    assert part.content == NOISE[IN_MEMORY - 2 : IN_MEMORY + 3]


async def test_a_large_file_that_has_gone_is_a_404_before_anything_is_promised(
    collected: FastAPI, client: httpx2.AsyncClient
) -> None:
    files = collected.state.static._files
    hashed = next(name for name in files if name.startswith("film.") and name != "film.mp4")
    files[hashed].contents["identity"].path.unlink()
    assert (await client.get(f"/static/{hashed}")).status_code == 404


async def test_memory_is_bounded(
    collected: FastAPI, monkeypatch: pytest.MonkeyPatch, client: httpx2.AsyncClient
) -> None:
    monkeypatch.setattr(serving, "MEMORY", 0)
    crowded = serving.StaticFiles(collected.state.runtime)
    assert {content.body for file in crowded._files.values() for content in file.contents.values()} == {None}
    collected.state.static._files = crowded._files
    assert (await client.get("/static/css/a.css")).content == STYLE


async def bytes_sent(file: StaticFile, method: str, *, gone: bool = False) -> int:
    """How much body a file sends to a client that stays, or is gone."""
    sent = 0

    async def receive() -> Message:
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))

    await file({"type": "http", "method": method, "headers": []}, receive, send)
    return sent


async def test_reading_stops_when_the_client_has_left(files: Path) -> None:
    film = StaticFile("film.mp4", [read(files / "film.mp4", "x")], 0, "no-cache", [])
    assert await bytes_sent(film, "GET") == len(NOISE)
    assert await bytes_sent(film, "GET", gone=True) < len(NOISE)


async def test_head_sends_no_body(files: Path) -> None:
    for path in (files / "film.mp4", files / "css" / "a.css"):
        assert await bytes_sent(StaticFile(path.name, [read(path, "x")], 0, "no-cache", []), "HEAD") == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.html", "text/html; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
        ("a.js.map", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.avif", "image/avif"),
        ("a.tar.gz", "application/gzip"),
        ("a.unheard-of", "application/octet-stream"),
        ("LICENSE", "application/octet-stream"),
    ],
)
def test_types_do_not_depend_on_the_machine(name: str, kind: str) -> None:
    assert media_type(name) == kind


async def test_hidden_files_and_ways_out_are_not_served(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    vendor = tmp_path / "vendor"
    for name in (".env", ".git/config", "code.py", "seen.txt", "static/manifest.json"):
        (vendor / name).parent.mkdir(parents=True, exist_ok=True)
        (vendor / name).write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (vendor / "link.txt").symlink_to(tmp_path / "outside.txt")
    (vendor / "loop").symlink_to(vendor / "loop")
    settings = make_settings(DATA_DIR=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    names = [".env", ".git/config", "code.py", "link.txt", "loop", "seen.txt/", "seen.txt/x", "a" * 5000, "%ff%00"]
    ways = [
        "..%2foutside.txt",
        "%2e%2e/outside.txt",
        "x/..%2f..%2foutside.txt",
        "..%5coutside.txt",
        "c:%5cx",
        "//seen.txt",
    ]
    async with running(settings) as app:
        client = new_client(app)
        assert (await client.get("/static/vendor/seen.txt")).text == "secret"
        for name in [*names, *ways]:
            assert (await client.get(f"/static/vendor/{name}")).status_code == 404, name


async def test_a_file_that_cannot_be_read_is_a_404(client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(serving, "read", refused)
    assert (await client.get("/static/swagger/swagger-ui.css")).status_code == 404


async def test_what_was_collected_is_no_way_to_other_files(client: httpx2.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "x.0123456789ab.txt").write_text("secret")
    for name in ("manifest.json", "..%2fx.0123456789ab.txt", "%2e%2e/x.0123456789ab.txt"):
        assert (await client.get(f"/static/{name}")).status_code == 404, name


async def test_in_development_an_edit_is_seen_at_once(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    path = tmp_path / "vendor" / "a.css"
    path.parent.mkdir()
    path.write_text("zero")
    collect(Sources([("vendor/", tmp_path / "vendor")]), tmp_path / "static")
    settings = make_settings(DEBUG=True, DATA_DIR=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    async with running(settings) as app:
        client, tags = new_client(app), set()
        for text in ("one", "two"):
            path.write_text(text)
            answer = await client.get(app.state.static.url("vendor/a.css"))
            assert (answer.text, answer.headers["cache-control"]) == (text, "no-cache")
            tags.add(answer.headers["etag"])
            again = await client.get("/static/vendor/a.css", headers={"If-None-Match": answer.headers["etag"]})
            assert again.status_code == 304
        assert len(tags) == 2


async def test_templates_name_hashed_files_when_they_are_collected(collected: FastAPI, tmp_path: Path) -> None:
    hashed = read_manifest(tmp_path / "data" / "static")["css/a.css"]
    shown = collected.state.templates.from_string("{{ static('css/a.css') }}").render()
    assert shown == f"/static/{hashed}"
    assert str(collected.url_path_for("static", path="/css/a.css")) == "/static/css/a.css"


async def test_a_missing_name_is_an_error_in_tests_and_one_line_in_production(
    collected: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    static = collected.state.static
    with pytest.raises(LookupError, match=r"'css/b.css'. Did you mean 'css/a.css'\?.*collectstatic"):
        static.url("css/b.css")
    static.strict = False
    assert [static.url("css/b.css"), static.url("css/b.css")] == ["/static/css/b.css"] * 2
    assert sum("css/b.css" in record.getMessage() for record in caplog.records) == 1


async def test_without_collecting_files_come_as_they_lie(
    make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    settings = make_settings(DATA_DIR=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    async with running(settings) as app:
        url = app.state.static.url("core/ui.css")
        assert url == "/static/core/ui.css"
        assert (await new_client(app).get(url)).headers["cache-control"] == "no-cache"
        with pytest.raises(LookupError, match=r"'core/iu.css'. Did you mean 'core/ui.css'\?$"):
            app.state.static.url("core/iu.css")
        app.state.static.strict = False
        assert app.state.static.url("core/iu.css") == "/static/core/iu.css"


@pytest.mark.parametrize("damage", ["{", "{}", '{"files": [1]}', '{"files": {"a.css": "a.0123456789ab.css"}}'])
def test_a_damaged_collection_stops_the_start_with_advice(
    make_settings: MakeSettings, tmp_path: Path, damage: str
) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "manifest.json").write_text(damage)
    with pytest.raises(ConfigurationError, match=r"run: python3 manage\.py collectstatic"):
        create_app(make_settings(DATA_DIR=tmp_path))


CDN = "https://cdn.example.com/s/"


async def test_a_cdn_is_allowed_scripts_styles_images_and_fonts_only(
    files: Path, make_settings: MakeSettings, new_client: NewClient, tmp_path: Path
) -> None:
    collect(Sources([("", files)]), tmp_path / "static")
    settings = make_settings(DATA_DIR=tmp_path, STATIC_URL=CDN, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    async with running(settings) as app:
        hashed = read_manifest(tmp_path / "static")["css/a.css"]
        assert app.state.static.url("css/a.css") == CDN + hashed
        client = new_client(app)
        for path in (f"/static/{hashed}", "/health/live", "/admin/"):
            headers = (await client.get(path)).headers
            policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
            allowed = {name for name, sources in policy.items() if "https://cdn.example.com" in sources.split()}
            assert allowed == {"script-src", "style-src", "img-src", "font-src"}
            assert ("'unsafe-inline'" in policy["style-src"]) is (path == "/admin/")
        answer = await client.get(f"/static/{hashed}")
        assert answer.headers["access-control-allow-origin"] == settings.SITE_URL


def test_in_development_static_files_come_from_this_site(make_settings: MakeSettings) -> None:
    settings = make_settings(DEBUG=True, STATIC_URL=CDN)
    assert (settings.static_url, settings.static_origin) == ("/static/", "")


@pytest.mark.parametrize(
    "url",
    [
        *("", "/", "static/", "/files/", "//cdn.example.com/", "https://cdn.example.com", "ftp://x/", "https://x y/"),
        *("https://a.example;script-src *;/", "https://*/", "https://u:p@cdn.example.com/", "https://x/?a=/"),
    ],
)
def test_an_unusable_static_url_is_refused_in_words(make_settings: MakeSettings, url: str) -> None:
    with pytest.raises(ValueError, match="must be /static/ or an address that ends with a slash"):
        make_settings(STATIC_URL=url)
