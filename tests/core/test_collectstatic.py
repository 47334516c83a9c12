"""collectstatic and findstatic: hashed names, rewritten references, and a former release that always stays whole."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest

from project.core.conf import ROOT
from project.core.errors import ConfigurationError
from project.core.testing.plugin import MakeSettings, Manage, NewClient, running
from project.core.web.static import collecting
from project.core.web.static.collecting import HashedNames, collect, read_manifest
from project.core.web.static.sources import Sources

Put = Callable[..., Path]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder to collect from."""
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def put(source: Path) -> Put:
    """Write a file into it."""

    def write(name: str, content: str | bytes = "") -> Path:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def rewritten(source: Path, name: str) -> str:
    """What is collected for a style or script, with hashes shown as #."""
    names = HashedNames(Sources([("", source)]).files())
    assert names.get(name)
    return re.sub(r"\.[0-9a-f]{12}", ".#", names.rewritten[name].decode())


def everything(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_name_holds_the_hash_of_what_is_served(source: Path, put: Put, tmp_path: Path) -> None:
    put("img/dot.png", b"one")
    put("css/a.css", "a { background: url(../img/dot.png) }")
    put("LICENSE", "free")
    collect(Sources([("", source)]), tmp_path / "out")
    before = read_manifest(tmp_path / "out")
    assert all(re.search(r"\.[0-9a-f]{12}(\.|$)", hashed) for hashed in before.values())
    assert before["css/a.css"].startswith("css/a.")
    put("img/dot.png", b"two")
    collect(Sources([("", source)]), tmp_path / "out")
    after = read_manifest(tmp_path / "out")
    assert {name for name in before if before[name] != after[name]} == {"img/dot.png", "css/a.css"}


def test_the_first_source_wins(tmp_path: Path) -> None:
    for folder in ("site", "app", "vendor"):
        (tmp_path / folder / "vendor").mkdir(parents=True)
        (tmp_path / folder / "x.js").write_text(folder)
    (tmp_path / "site" / "vendor" / "x.js").write_text("the site's own")
    sources = Sources([("", tmp_path / "site"), ("", tmp_path / "app"), ("vendor/", tmp_path / "vendor")])
    assert {name: path.read_text() for name, path in sources.files().items()} == {
        "vendor/x.js": "the site's own",
        "x.js": "site",
    }


@pytest.mark.parametrize(
    ("written", "collected"),
    [
        ("url(dot.png)", "url(dot.#.png)"),
        ("url( 'dot.png' )", "url( 'dot.#.png' )"),
        ('URL("../css/dot.png?v=1#x")', 'URL("dot.#.png?v=1#x")'),
        ("url(/static/css/dot.png)", "url(dot.#.png)"),
        ("url(../img/a%20b.svg#icon)", "url(../img/a%20b.#.svg#icon)"),
        ('url("../img/a b.svg")', 'url("../img/a%20b.#.svg")'),
        ('@import "b.css" screen;', '@import "b.#.css" screen;'),
        ("@import 'b.css';", "@import 'b.#.css';"),
        ("@import url(b.css);", "@import url(b.#.css);"),
        ("/*# sourceMappingURL=a.css.map */", "/*# sourceMappingURL=a.css.#.map */"),
        ("/*# sourceMappingURL=none.css.map */", "/*# sourceMappingURL=none.css.map */"),
        ("/* url(none.png) */ url(dot.png)", "/* url(none.png) */ url(dot.#.png)"),
        ('content: "url(none.png)"', 'content: "url(none.png)"'),
        ("url(data:image/png;base64,AA==)", "url(data:image/png;base64,AA==)"),
        ("url(https://example.com/x.png)", "url(https://example.com/x.png)"),
        ("url(//example.com/x.png)", "url(//example.com/x.png)"),
        ("url(/media/x.png)", "url(/media/x.png)"),
        ("url(#shape) url('')", "url(#shape) url('')"),
    ],
)
def test_references_of_a_style_lead_to_hashed_names(source: Path, put: Put, written: str, collected: str) -> None:
    for name in ("css/dot.png", "css/b.css", "css/a.css.map", "img/a b.svg"):
        put(name)
    put("css/a.css", written)
    assert rewritten(source, "css/a.css").replace("a.#.css.map", "a.css.#.map") == collected


def test_a_script_finds_its_source_map(source: Path, put: Put) -> None:
    put("js/a.js.map", "{}")
    put("js/a.js", 'f("url(none.png)")\n//# sourceMappingURL=a.js.map\n')
    put("js/b.js", "g()\n//# sourceMappingURL=b.js.map\n")
    assert rewritten(source, "js/a.js").endswith("sourceMappingURL=a.js.#.map\n")
    assert rewritten(source, "js/b.js").endswith("sourceMappingURL=b.js.map\n")


def test_bytes_that_are_no_utf_8_stay_as_they_are(source: Path, put: Put) -> None:
    put("a.css", b"a { content: '\xe9' }")
    names = HashedNames(Sources([("", source)]).files())
    names.get("a.css")
    assert names.rewritten["a.css"] == b"a { content: '\xe9' }"


@pytest.mark.parametrize(
    "reference", ["url(gone.png)", "@import 'gone.png'", "url(../../gone.png)", "url(/static/gone.png)"]
)
def test_a_reference_to_nothing_names_file_and_reference_and_changes_nothing(
    source: Path, put: Put, tmp_path: Path, reference: str
) -> None:
    put("css/a.css", "a {}")
    collect(Sources([("", source)]), tmp_path / "out")
    before = everything(tmp_path / "out")
    put("css/0.css", "b {}")
    put("css/a.css", reference)
    with pytest.raises(ValueError, match=r"css/a\.css refers to '[./a-z]*gone\.png', but there is no static file"):
        collect(Sources([("", source)]), tmp_path / "out")
    assert everything(tmp_path / "out") == before


def test_styles_that_import_each_other_are_named(source: Path, put: Put) -> None:
    put("a.css", "@import 'b.css';")
    put("b.css", "@import 'a.css';")
    with pytest.raises(ValueError, match=r"in a circle: a\.css → b\.css → a\.css"):
        HashedNames(Sources([("", source)]).files()).get("a.css")


@pytest.mark.parametrize("survived", range(6))
def test_whenever_collecting_is_killed_the_former_release_is_whole(
    source: Path, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    root = tmp_path / "out"
    put("a.css", "a { color: red }" * 50)
    collect(Sources([("", source)]), root)
    before, manifest = everything(root), read_manifest(root)
    put("a.css", "a { color: blue }" * 50)
    put("b.css", "b { color: blue }" * 50)
    writes = iter(range(survived))
    write = collecting._write

    def killed(path: Path, content: bytes) -> None:
        if next(writes, None) is None:
            path.with_name(f".{path.name}.1.draft").write_bytes(content[:10])
            raise KeyboardInterrupt
        write(path, content)

    monkeypatch.setattr(collecting, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        collect(Sources([("", source)]), root, clear=True)
    assert read_manifest(root) == manifest
    assert everything(root).items() >= before.items()
    monkeypatch.undo()
    collect(Sources([("", source)]), root, clear=True)
    names = read_manifest(root).values()
    endings = ("", ".br", ".gz")
    assert set(everything(root)) == {"manifest.json", *(f"{name}{ending}" for name in names for ending in endings)}


def test_compressed_forms_lie_beside_a_file_only_where_they_are_smaller(source: Path, put: Put, tmp_path: Path) -> None:
    put("long.js", "let a = 1;\n" * 500)
    put("short.js", "f()")
    put("photo.png", b"\0" * 5000)
    collect(Sources([("", source)]), tmp_path / "out")
    found, manifest = everything(tmp_path / "out"), read_manifest(tmp_path / "out")
    long = manifest["long.js"]
    assert brotli.decompress(found[f"{long}.br"]) == gzip.decompress(found[f"{long}.gz"]) == found[long]
    assert len(found[f"{long}.br"]) < len(found[long])
    assert set(found) == {"manifest.json", f"{long}.br", f"{long}.gz", *manifest.values()}


def test_former_files_stay_until_clear_and_strangers_always(source: Path, put: Put, tmp_path: Path) -> None:
    root = tmp_path / "out"
    put("a.css", "one" * 100)
    collect(Sources([("", source)]), root)
    former = read_manifest(root)["a.css"]
    (root / "mine.txt").write_text("mine")
    put("a.css", "two" * 100)
    assert collect(Sources([("", source)]), root).removed == []
    assert (root / former).is_file()
    dry = collect(Sources([("", source)]), root, clear=True, dry_run=True)
    assert (root / former).is_file()
    report = collect(Sources([("", source)]), root, clear=True)
    assert report.removed == dry.removed == sorted([former, f"{former}.br", f"{former}.gz"])
    assert not (root / former).exists()
    assert (root / read_manifest(root)["a.css"]).is_file()
    assert (root / "mine.txt").read_text() == "mine"


def test_a_file_that_was_cut_short_is_written_again(source: Path, put: Put, tmp_path: Path) -> None:
    put("a.css", "a {}")
    collect(Sources([("", source)]), tmp_path / "out")
    hashed = tmp_path / "out" / read_manifest(tmp_path / "out")["a.css"]
    hashed.write_text("a")
    assert collect(Sources([("", source)]), tmp_path / "out").written == [hashed.name]
    assert hashed.read_text() == "a {}"


def test_what_is_collected_is_not_collected_again(source: Path) -> None:
    for root in (source, source / "out"):
        with pytest.raises(ConfigurationError, match="lies in a folder that is collected"):
            collect(Sources([("", source)]), root)


def test_the_whole_site_is_collected_and_the_deploy_check_asks_for_it(manage: Manage, tmp_path: Path) -> None:
    places = {"DATA_DIR": tmp_path, "STATIC_ROOT": tmp_path / "out"}
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "htmx.min.js").touch()
    dry = manage("collectstatic", "--dry-run", "--noinput", **places)
    assert dry.exit_code == 0
    assert re.search(r"Would write css/site\.[0-9a-f]{12}\.css", dry.output)
    assert not (tmp_path / "out").exists()
    assert "core.W108" in manage("check", "--deploy", **places).output
    assert "core.W108" not in manage("check", **places).output
    done = manage("collectstatic", "--noinput", **places)
    assert (done.exit_code, "0 unchanged, 0 removed" in done.output) == (0, True)
    assert {"css/site.css", "core/ui.js", "swagger/swagger-ui.css"} <= set(read_manifest(tmp_path / "out"))
    assert "0 new" in manage("collectstatic", "--clear", **places).output
    assert "core.W108" not in manage("check", "--deploy", **places).output
    (tmp_path / "vendor" / "new.js").write_text("f()")
    assert "core.W108" in manage("check", "--deploy", **places).output


def test_collected_files_lie_in_the_data_folder_unless_told(make_settings: MakeSettings, tmp_path: Path) -> None:
    assert make_settings(DATA_DIR=tmp_path).static_root == tmp_path / "static"
    assert make_settings(STATIC_ROOT="build/static").static_root == ROOT / "build" / "static"


def test_a_broken_reference_is_one_sentence_and_exit_code_1(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "htmx.min.js").touch()
    (tmp_path / "vendor" / "x.css").write_text("url(gone.png)")
    answer = manage("collectstatic", DATA_DIR=tmp_path)
    assert answer.exit_code == 1
    assert "vendor/x.css refers to 'gone.png', but there is no static file 'vendor/gone.png'" in answer.output
    assert "core.E109" in manage("check", "--deploy", DATA_DIR=tmp_path).output


def test_findstatic_lists_every_place_and_helps_with_a_name_that_is_wrong(manage: Manage, tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "x.js").write_text("f()")
    found = manage("findstatic", "vendor/x.js", "core/ui.css", DATA_DIR=tmp_path)
    assert found.exit_code == 0
    assert f"Found 'vendor/x.js' here:\n  {tmp_path}/vendor/x.js\n" in found.output
    wrong = manage("findstatic", "core/iu.css", "vendor/x.js", DATA_DIR=tmp_path)
    assert wrong.exit_code == 1
    assert "There is no static file 'core/iu.css'. Did you mean 'core/ui.css'?" in wrong.output
    assert "Found 'vendor/x.js'" in wrong.output
    assert manage("findstatic").exit_code == 2


async def test_an_upgrade_while_old_pages_are_open_loses_no_asset(
    make_settings: MakeSettings, new_client: NewClient, source: Path, put: Put, tmp_path: Path
) -> None:
    settings = make_settings(DATA_DIR=tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/db.sqlite3")
    for name in ("a.css", "gone.js"):
        put(name, f"{name} of the old release")
    collect(Sources([("", source)]), settings.static_root)
    async with running(settings) as old:
        old_urls = [old.state.static.url(name) for name in ("a.css", "gone.js")]
        put("a.css", "a.css of the new release")
        (source / "gone.js").unlink()
        collect(Sources([("", source)]), settings.static_root)
        async with running(settings) as new:
            new_url = new.state.static.url("a.css")
            assert new_url not in old_urls
            for app in (old, new):
                client = new_client(app)
                texts = [(await client.get(url)).text for url in [*old_urls, new_url]]
                assert texts == ["a.css of the old release", "gone.js of the old release", "a.css of the new release"]
                answer = await client.get(new_url if app is old else old_urls[0])
                assert answer.headers["cache-control"].endswith("immutable")
