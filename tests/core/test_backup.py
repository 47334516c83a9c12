"""`backup` and `restore`: the whole database in a file and back, or everything stays as it was."""

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import URL, text

from project.core.db.migrations.applying import connect
from project.core.management import backup, restore
from project.core.testing.plugin import Databases, MakeSettings, Manage


@pytest.fixture
async def url(backend: Databases) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    async with backend.copy() as found:
        yield found


async def test_a_backup_brings_all_of_it_back_and_a_broken_one_changes_nothing(
    manage: Manage, make_settings: MakeSettings, url: str, tmp_path: Path
) -> None:
    file, cut, odd = (tmp_path / name for name in ("shop.dump", "cut.dump", "odd.dump"))

    async def made_since() -> None:
        """What newer code has made: it holds on to the people's table."""
        async with connect(make_settings(DATABASE_URL=url).database_url) as connection:
            kind = await connection.scalar(text("SELECT id FROM accounts_user LIMIT 1"))
            assert kind
            column = "CHAR(32)" if connection.dialect.name == "sqlite" else "UUID"
            await connection.execute(text(f"CREATE TABLE newer (person {column} REFERENCES accounts_user (id))"))
            await connection.execute(text("INSERT INTO newer SELECT id FROM accounts_user"))
            await connection.execute(text("UPDATE accounts_user SET name = 'changed'"))
            await connection.commit()

    def rows() -> str:
        return manage("dumpdata", "accounts", "core", "--all", DATABASE_URL=url).stdout

    def walk() -> None:
        manage("seed", DEBUG=True, DATABASE_URL=url)
        before = rows()
        made = manage("backup", str(file), DATABASE_URL=url)
        size = file.stat().st_size
        assert (made.exit_code, made.output) == (0, f"{file} has {size:,} bytes.\n")
        assert file.stat().st_mode & 0o777 == 0o600
        cut.write_bytes(file.read_bytes()[: size * 2 // 3])
        odd.write_text(before)
        asyncio.run(made_since())
        after = rows()
        for words, typed, code, says in [
            ([file, "--noinput"], None, 1, "--replace"),
            ([cut, "--replace", "--noinput"], None, 1, "Error: "),
            ([odd, "--replace", "--noinput"], None, 1, "Error: "),
            ([file, "--replace"], "no\n", 0, "cancelled"),
            ([file, "--replace"], "", 1, "Aborted"),
        ]:
            told = manage("restore", *map(str, words), input=typed, DATABASE_URL=url)
            assert (told.exit_code, says in told.output) == (code, True), told.output
        assert rows() == after != before
        done = manage("restore", str(file), "--replace", input="yes\n", DATABASE_URL=url)
        assert (done.exit_code, "Restored." in done.output) == (0, True), done.output
        assert rows() == before
        assert manage("migrate", "--check", DATABASE_URL=url).exit_code == 0

    await asyncio.to_thread(walk)


async def test_what_fails_half_way_on_postgresql_changes_nothing(
    manage: Manage, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if not url.startswith("postgresql"):
        return  # there it is one call of SQLite's
    file = tmp_path / "shop.dump"

    def spoiled(program: str, *words: str, on: URL | None = None) -> None:
        backup.run(program, *words, on=on)
        if program == "pg_restore":
            with Path(words[-2].partition("=")[2]).open("a") as script:
                script.write("SELECT 1/0;\n")

    def walk() -> None:
        assert manage("backup", str(file), DATABASE_URL=url).exit_code == 0
        manage("seed", DEBUG=True, DATABASE_URL=url)
        before = manage("dumpdata", DATABASE_URL=url).stdout
        monkeypatch.setattr(restore, "run", spoiled)
        told = manage("restore", str(file), "--replace", "--noinput", DATABASE_URL=url)
        assert (told.exit_code, "division by zero" in told.output) == (1, True), told.output
        assert manage("dumpdata", DATABASE_URL=url).stdout == before

    await asyncio.to_thread(walk)


def test_a_backup_of_sqlite_waits_for_nobody_and_has_what_was_committed(manage: Manage, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("INSERT INTO core_effect VALUES ('a', 'a', '{}', '2026-01-01')")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO core_effect VALUES ('b', 'b', '{}', '2026-01-01')")
        assert manage("backup", str(tmp_path / "copy.sqlite3")).exit_code == 0
        assert sorted(each.name for each in tmp_path.glob("*copy*")) == ["copy.sqlite3"]
        assert (tmp_path / "copy.sqlite3").read_bytes()[18:20] == b"\1\1"  # needs no second file beside it to be read
        with closing(sqlite3.connect(f"file:{tmp_path}/copy.sqlite3?immutable=1", uri=True)) as copy:
            assert copy.execute("SELECT id FROM core_effect").fetchall() == [("a",)]


def test_a_database_that_is_busy_is_not_restored(
    manage: Manage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(backup, "TRIES", 1)
    monkeypatch.setattr(backup, "PATIENCE", 0.01)
    assert manage("backup", str(tmp_path / "copy.sqlite3")).exit_code == 0
    with closing(sqlite3.connect(tmp_path / "db.sqlite3", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        told = manage("restore", str(tmp_path / "copy.sqlite3"), "--replace", "--noinput")
    assert (told.exit_code, "busy" in told.output) == (1, True)


def test_a_file_that_is_not_there_or_is_damaged_is_neither_copied_nor_replaced(manage: Manage, tmp_path: Path) -> None:
    former = tmp_path / "former.sqlite3"
    former.write_text("former")
    path = tmp_path / "db.sqlite3"
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    for url in (f"sqlite:///{path}", f"sqlite:///{tmp_path}/nowhere.sqlite3"):
        told = manage("backup", str(former), DATABASE_URL=url)
        assert (told.exit_code, "cannot be copied" in told.output) == (1, True)
    assert former.read_text() == "former"
    assert not (tmp_path / "nowhere.sqlite3").exists()


PROGRAM = f"""#!{sys.executable}
import json, os, sys
print(os.environ["SAYS"], file=sys.stderr)
open(os.environ["NOTES"], "a").write(json.dumps([*sys.argv, os.environ.get("PGPASSWORD")]) + "\\n")
sys.exit(os.environ["SAYS"] != "")
"""
SHOP = "postgresql://shop:s%40crt@db.example.com:5433/shop"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("", " has 0 bytes."),
        ("pg_dump: error: server version: 17.2; pg_dump version: 15.20\nserver version mismatch", "is too old"),
        ("pg_dump: error: password=s@crt of postgresql://shop:s@crt@db is wrong\nmore", "failed, and nothing was"),
    ],
)
def test_postgresqls_programs_get_the_password_by_their_environment(
    manage: Manage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str, told: str
) -> None:
    file, notes = tmp_path / "shop.dump", tmp_path / "notes"
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = manage("backup", str(file), DATABASE_URL=SHOP)
    assert (missing.exit_code, "pg_dump is not installed here" in missing.output) == (1, True)
    (tmp_path / "pg_dump").write_text(PROGRAM)
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("SAYS", said)
    monkeypatch.setenv("NOTES", str(notes))
    answer = manage("backup", str(file), DATABASE_URL=SHOP)
    assert (answer.exit_code, told in answer.output, "s@crt" in answer.output) == (bool(said), True, False)
    *words, password = json.loads(notes.read_text())
    assert password == "s@crt"
    assert words[1:9] == ["-U", "shop", "-h", "db.example.com", "-p", "5433", "-d", "shop"]
    assert "s@crt" not in str(words)
    assert file.exists() == (not said)
