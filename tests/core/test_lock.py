"""The locks: complete, hashed, silent about where packages come from; and the command that compiles them."""

import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from project.core.management import lock
from project.core.management.environment import ROOT

NAMES = ("base.lock", "dev.lock", "opentelemetry.lock", "assets.lock")
TEXTS = {name: (ROOT / "project/requirements" / name).read_text(encoding="utf-8") for name in NAMES}
PIN = "x==1 \\\n    --hash=sha256:{}\n"
OLD = PIN.format("0" * 64)
# Plays uv: adds a line to its output file, or answers a package given on standard input with another hash.
STUB_UV = """\
#!{python}
import os, sys
if sys.argv[-1] == "-":
    assert sys.stdin.read() == "x==1"
    print({hashed!r})
else:
    with open(sys.argv[-1], "a") as file:
        print(os.environ["STUB_ADDS"], file=file)
"""


@pytest.mark.parametrize("name", NAMES)
def test_lock_hashes_everything_and_names_no_host(name: str) -> None:
    assert lock.strange_lines(TEXTS[name]) == []
    hashed = re.findall(r"^\S+==\S+.* \\\n    --hash=sha256:", TEXTS[name], re.MULTILINE)
    assert len(hashed) == len(re.findall(r"^\S+==", TEXTS[name], re.MULTILINE)) > 0


def test_line_that_says_where_from_is_strange() -> None:
    lines = ["-i https://host/simple", "x @ file:///x.whl", "# from http://host", "--find-links /wheels", "x>=1"]
    assert lock.strange_lines("# fine\n" + "\n".join(lines)) == lines


def test_every_other_lock_holds_all_of_base_lock() -> None:
    base, *others = (set(re.findall(r"^\S+==\S+", TEXTS[name], re.MULTILINE)) for name in NAMES[:3])
    assert all(base < other for other in others)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three small locks of a project in which the only command is a pretended uv."""
    folder = tmp_path / "project/requirements"
    folder.mkdir(parents=True)
    for name in NAMES:
        (folder / name).write_text(f"# {name}\n{OLD}")
    (tmp_path / "uv").write_text(STUB_UV.format(python=sys.executable, hashed=PIN.format("a" * 64)))
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setattr(lock, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    return folder


def test_command_starts_from_the_locks_that_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_ADDS", "# added")
    done = CliRunner().invoke(lock.lock)
    assert done.exit_code == 0, done.output
    assert (folder / "dev.lock").read_text() == f"# dev.lock\n{OLD}# added\n"
    assert (folder / "assets.lock").read_text().rstrip() == f"# assets.lock\n{PIN.format('a' * 64)}".rstrip()


def test_command_lets_no_address_in_and_needs_uv(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_ADDS", "--index-url https://host/simple")
    done = CliRunner().invoke(lock.lock)
    assert (done.exit_code, "base.lock would hold a line it must not: --index-url" in done.output) == (1, True)
    assert (folder / "base.lock").read_text() == f"# base.lock\n{OLD}"
    (folder.parents[1] / "uv").unlink()
    assert "Only uv locks for all systems" in CliRunner().invoke(lock.lock).output
