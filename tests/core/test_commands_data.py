"""manage.py and the rows: out, in, away; the database's own client; demo data; what has ended."""

import asyncio
import gzip
import json
import re
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from project.core.testing.databases import PostgresDatabases, SQLiteFiles
from project.core.testing.plugin import Manage
from tests.core.conftest import INSTALLED

NEW = "sqlite:///%s/new.sqlite3"
Databases = SQLiteFiles | PostgresDatabases


@pytest.fixture
async def url(backend: Databases) -> AsyncIterator[str]:
    """A migrated database of this test's own."""
    async with backend.copy() as found:
        yield found


def count(folder: Path, table: str) -> int:
    with sqlite3.connect(folder / "db.sqlite3") as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


async def test_a_site_moves_to_another_database(manage: Manage, url: str, tmp_path: Path) -> None:
    """From SQLite to either database, as a packed file; then flush empties it, and its migrations stay."""
    file = tmp_path / "site.json.gz"

    def walk() -> None:
        manage("seed", DEBUG=True)
        assert manage("dumpdata", "-o", str(file)).exit_code == 0
        loaded = manage("loaddata", str(file), DATABASE_URL=url)
        dumped = manage("dumpdata").stdout
        assert (loaded.exit_code, f"Installed {len(json.loads(dumped))} object(s)" in loaded.output) == (0, True)
        assert manage("dumpdata", DATABASE_URL=url).stdout == dumped
        assert manage("flush", "--noinput", DATABASE_URL=url).output == "All rows are gone.\n"
        assert json.loads(manage("dumpdata", "--all", DATABASE_URL=url).stdout) == []
        assert manage("migrate", "--check", DATABASE_URL=url).exit_code == 0

    await asyncio.to_thread(walk)


def test_a_dump_is_for_its_owner_only_and_there_when_it_is_whole(manage: Manage, tmp_path: Path) -> None:
    manage("seed", DEBUG=True)
    file = tmp_path / "people.json"
    file.write_text("former")
    refused = manage("dumpdata", "accounts.User", "--pks", "x", "-o", str(file))
    assert (refused.exit_code, refused.output) == (1, "Error: This is no primary key of accounts.user: x.\n")
    assert file.read_text() == "former"
    assert manage("dumpdata", "accounts", "-o", str(file)).exit_code == 0
    assert (file.stat().st_mode & 0o777, len(json.loads(file.read_text()))) == (0o600, 4)
    assert sorted(each.name for each in tmp_path.glob("*people*")) == ["people.json"]


def test_sessions_tokens_and_jobs_are_dumped_only_when_they_are_named(manage: Manage, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        connection.execute("INSERT INTO core_effect VALUES (?, 'k', '{}', '2026-01-01 00:00:00')", ["0" * 32])
    for words, models in (
        ([], []),
        (["core"], []),
        (["core.Effect"], ["core.effect"]),
        (["--all"], ["core.effect"]),
        (["--all", "--exclude", "core.effect"], []),
    ):
        told = manage("dumpdata", "--format", "jsonl", *words)
        assert [json.loads(line)["model"] for line in told.stdout.splitlines() if line] == models, words


def test_a_fixture_comes_by_a_pipe_or_from_an_apps_folder(manage: Manage, tmp_path: Path) -> None:
    manage("seed", DEBUG=True)
    dumped = manage("dumpdata", "--natural-foreign", "--natural-primary", "--indent", "2").stdout
    assert manage("loaddata", "-", input=dumped).exit_code == 0
    assert count(tmp_path, "accounts_user") == 4
    assert manage("loaddata", "probe_people", INSTALLED_APPS=INSTALLED).exit_code == 0
    assert count(tmp_path, "accounts_user") == 5


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["dumpdata", "accounts.Usr"], 1, "There is no app or model 'accounts.usr'. Did you mean 'accounts.user'?"),
        (["dumpdata", "accounts", "--pks", "1"], 1, "--pks goes with one model"),
        (["dumpdata", "-o", "/nowhere/at/all.json"], 1, "cannot be written"),
        (["loaddata", "nowhere"], 1, "There is no fixture 'nowhere'"),
        (["loaddata"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(manage: Manage, words: list[str], code: int, says: str) -> None:
    answer = manage(*words)
    assert (answer.exit_code, says in answer.output) == (code, True), answer.output


def test_a_damaged_file_loads_nothing(manage: Manage, tmp_path: Path) -> None:
    row = {"model": "accounts.user", "fields": {"email": "zoe@example.com", "hashed_password": "!"}}
    packed = gzip.compress(json.dumps([row]).encode())
    for name, content in (("cut.json.gz", packed[:-9]), ("cut.json", json.dumps([row]).encode()[:-1])):
        (tmp_path / name).write_bytes(content)
        answer = manage("loaddata", str(tmp_path / name))
        assert (answer.exit_code, "cannot be read after row" in answer.output) == (1, True), answer.output
    assert count(tmp_path, "accounts_user") == 0


def test_loading_before_the_first_migrate_says_what_to_do(manage: Manage, tmp_path: Path) -> None:
    answer = manage("loaddata", "probe_people", INSTALLED_APPS=INSTALLED, DATABASE_URL=NEW % tmp_path)
    assert (answer.exit_code, "manage.py migrate" in answer.output) == (1, True)


def test_flush_asks_first(manage: Manage, tmp_path: Path) -> None:
    manage("seed", DEBUG=True)
    for typed, code, left in (("no\n", 0, 4), ("", 1, 4), ("yes\n", 0, 0)):
        assert manage("flush", input=typed).exit_code == code
        assert count(tmp_path, "accounts_user") == left
    assert "DELETE FROM accounts_user;" in manage("sqlflush").output


CLIENT = f"""#!{sys.executable}
import os, sys
print(sys.argv[1:], os.environ.get("PGPASSWORD"), os.environ.get("PGSSLMODE"), os.environ.get("PGOPTIONS"), flush=True)
sys.exit(7)
"""


def test_dbshell_hands_over_to_the_databases_client(
    manage: Manage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The password stands in the environment: every user of the machine can read a process's words."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PGOPTIONS", raising=False)
    missing = manage("dbshell")
    assert (missing.exit_code, missing.output) == (1, "Error: sqlite3 is not installed here, or not on the PATH.\n")
    for name in ("psql", "sqlite3"):
        (tmp_path / name).write_text(CLIENT)
        (tmp_path / name).chmod(0o755)
    postgresql = "postgresql://shop:s%40crt@db.example.com:5433/shop?ssl=require"
    assert manage("dbshell", "--read-only", "--", "-c", "SELECT 1", DATABASE_URL=postgresql).exit_code == 7
    words = ["-U", "shop", "-h", "db.example.com", "-p", "5433", "-d", "shop", "-c", "SELECT 1"]
    assert capfd.readouterr().out == f"{words} s@crt require -c default_transaction_read_only=on\n"
    assert manage("dbshell", "--", ".tables").exit_code == 7
    assert capfd.readouterr().out.startswith(f"{[str(tmp_path / 'db.sqlite3'), '.tables']} ")


def test_cleanup_deletes_what_has_ended_and_says_how_much(manage: Manage, tmp_path: Path) -> None:
    manage("seed", DEBUG=True)
    with sqlite3.connect(tmp_path / "db.sqlite3") as connection:
        for number, day in enumerate(["2020-01-01", "2999-01-01"]):
            key, moment = f"{number:032x}", f"{day} 00:00:00"
            connection.execute("INSERT INTO core_effect VALUES (?, ?, '{}', ?)", [key, key, moment])
            connection.execute(
                "INSERT INTO accounts_session (id, token_hash, user_id, kind, remember, user_agent, address,"
                " created_at, last_seen_at, expires_at)"
                " SELECT ?, ?, id, 'browser', 0, '', '', ?, ?, ? FROM accounts_user LIMIT 1",
                [key, key, moment, moment, moment],
            )
    for words, left in ((["cleanup", "--dry-run"], 2), (["clearsessions"], 1), (["cleanup"], 1)):
        answer = manage(*words)
        assert answer.exit_code == 0
        assert (count(tmp_path, "core_effect"), count(tmp_path, "accounts_session")) == (left, left)
        if words != ["cleanup"]:
            verb = "to delete" if left == 2 else "deleted"
            assert f"core: keys {verb}: 1\n" in answer.output
            assert f"accounts: sessions {verb}: 1\n" in answer.output


def test_seeding_twice_adds_nothing(manage: Manage) -> None:
    assert re.search(r"^accounts: people .* added: 4$", manage("seed", DEBUG=True).output, re.M)
    rows = manage("dumpdata").stdout
    again = manage("seed", DEBUG=True)
    assert (again.exit_code, {line.rpartition(" ")[2] for line in again.output.splitlines()}) == (0, {"0"})
    assert manage("dumpdata").stdout == rows
    assert manage("seed", "nothing", DEBUG=True).exit_code == 2


def test_demo_people_are_harmless_where_debug_is_off(manage: Manage) -> None:
    from apps.accounts.manager import HASHER
    from apps.accounts.seeding import PASSWORD

    refused = manage("seed")
    assert (refused.exit_code, "--force" in refused.output) == (1, True)
    assert manage("seed", "accounts", "--force").exit_code == 0
    people = [row["fields"] for row in json.loads(manage("dumpdata", "accounts.user").stdout)]
    assert len(people) == 3
    assert not any(each["is_staff"] or each["is_superuser"] for each in people)
    assert not HASHER.verify_and_update(PASSWORD, people[0]["hashed_password"])[0]
