"""Migrations: written, applied, unapplied and refused, on both databases."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from sqlalchemy import make_url
from sqlalchemy.dialects import postgresql
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from project.core.apps import Registry
from project.core.db.migrations import FOLDER, MigrationError, applying, writing
from project.core.db.migrations.answers import Answers
from project.core.db.migrations.applying import MEMORY, connect, migrate_database, statements
from project.core.db.migrations.history import database_heads, pending, read
from project.core.db.models import metadata as site
from project.core.management.cli import Site, manage
from project.core.testing.databases import PostgresDatabases, SQLiteFiles
from project.core.testing.plugin import MakeSettings

POST = "INSERT INTO blog_post (id, title, state, data, stars) VALUES (1, 'kept', 'draft', '{}', 1)"
State = StrEnum("State", ["draft", "done"])
MoreState = StrEnum("MoreState", ["draft", "done", "archived"])


@pytest.fixture(scope="module")
async def empty(backend: SQLiteFiles | PostgresDatabases) -> AsyncIterator[str]:
    """Where databases are a server's: one of this module's own, as making one takes longer than emptying it."""
    if isinstance(backend, SQLiteFiles):
        yield ""
        return
    server, name = backend.server.set(database="postgres"), f"uptempo_migrations_{uuid4().hex[:12]}"
    connection = await asyncpg.connect(server.render_as_string(hide_password=False))
    await connection.execute(f"CREATE DATABASE {name}")
    made = server.set(drivername="postgresql+asyncpg", database=name)
    yield made.render_as_string(hide_password=False)
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def url(empty: str, tmp_path: Path) -> str:
    """An empty database of one's own."""
    if not empty:
        return f"sqlite+aiosqlite:///{tmp_path / 'new' / 'db.sqlite3'}"
    await rows(empty, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return empty


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A migrations folder with an empty history."""
    (tmp_path / "migrations" / "versions").mkdir(parents=True)
    for name in ("env.py", "script.py.mako"):
        shutil.copy(FOLDER / name, tmp_path / "migrations")
    return tmp_path / "migrations"


def tables(*columns: sa.Column[Any], states: type[StrEnum] = State, title: str = "title") -> sa.MetaData:
    """A small blog; columns are added to its posts."""
    metadata = sa.MetaData(naming_convention=site.naming_convention)
    state = sa.Enum(states, native_enum=False, create_constraint=True, name="state")
    sa.Table(
        "blog_post",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.Uuid),
        sa.Column(title, AutoString(length=50), nullable=False, unique=True, index=True),
        sa.Column("state", state, nullable=False),
        sa.Column("published", UTCDateTime(), server_default=sa.func.now()),
        sa.Column("data", sa.JSON().with_variant(postgresql.JSONB(), "postgresql")),
        sa.Column("open", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("stars", sa.Integer, nullable=False, index=True),
        sa.CheckConstraint(f"stars >= 0 AND {title} <> ''", name="stars"),
        *columns,
    )
    sa.Table(
        "blog_comment",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("post_id", sa.ForeignKey("blog_post.id", ondelete="CASCADE"), index=True, nullable=False),
    )
    return metadata


def revision(folder: Path, id: str, down: str | None, upgrade: str, downgrade: str = "pass") -> None:
    (folder / "versions" / f"{id}.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision = {id!r}\ndown_revision = {down!r}\n"
        f"def upgrade():\n    {upgrade}\ndef downgrade():\n    {downgrade}\n"
    )


def chain(folder: Path, count: int = 4) -> list[str]:
    """Revisions that each add one row, so that running one twice would show."""
    ids = [f"{number:04}_step" for number in range(1, count + 1)]
    revision(folder, ids[0], None, "op.create_table('log', sa.Column('at', sa.Integer))", "op.drop_table('log')")
    for down, id in pairwise(ids):
        revision(folder, id, down, f"op.execute('INSERT INTO log VALUES ({int(id[:4])})')")
    return ids


async def rows(url: str, *queries: str) -> list[Any]:
    """Run the statements and commit; the last one's rows."""
    async with connect(url) as connection:
        for query in queries:
            result = await connection.execute(sa.text(query))
        found = [tuple(row) for row in result] if result.returns_rows else []
        await connection.commit()
        return found


async def schema(url: str) -> Any:
    """Every table, column and index, and where the history stands."""

    def look(connection: sa.Connection) -> Any:
        inspector = sa.inspect(connection)
        return repr([inspector.get_multi_columns(), inspector.get_multi_indexes(), database_heads(connection)])

    async with connect(url) as connection:
        return await connection.run_sync(look)


async def make(folder: Path, metadata: sa.MetaData, url: str = MEMORY, **answers: Any) -> Path:
    draft = await writing.compare(url, folder=folder, metadata=metadata, answers=Answers(**answers))
    assert draft is not None
    return writing.write(draft, folder=folder)


async def test_the_sites_revisions_build_exactly_its_models(url: str, make_settings: MakeSettings) -> None:
    Registry(make_settings().INSTALLED_APPS)
    applied = await migrate_database(url)
    assert applied == list(read().revisions)
    await rows(url, "CREATE TABLE somebody_elses (id INTEGER PRIMARY KEY)")
    assert await writing.compare(url) is None
    assert await migrate_database(url, "zero") == applied[::-1]
    assert await migrate_database(url) == applied


@pytest.mark.parametrize("here", [True, False], ids=["written here", "written on sqlite"])
async def test_what_is_written_on_one_database_runs_on_the_other_without_drift(
    url: str, folder: Path, here: bool
) -> None:
    seen: sa.Column[Any] = sa.Column("seen", UTCDateTime(), nullable=False)
    grown = tables(sa.Column("note", AutoString(length=9), default="it's", nullable=False), seen, states=MoreState)
    grown.tables["blog_post"].c.title.type = AutoString(length=80)
    grown.tables["blog_post"].c.published.nullable = False
    other = tables()
    other.remove(other.tables["blog_comment"])
    changes = {POST: tables(), "UPDATE blog_post SET state = 'archived'": grown, "SELECT 1": other}
    for query, metadata in changes.items():
        path = await make(folder, metadata, url if here else MEMORY, defaults={"blog_post.seen": "2026-01-01"})
        assert "sqlmodel" not in path.read_text()
        await migrate_database(url, folder=folder)
        for place in (url, MEMORY):
            assert await writing.compare(place, folder=folder, metadata=metadata) is None
        await rows(url, query, "UPDATE blog_post SET state = 'done'")
    assert path.stem == "0003_blog_comment_delete_post_alter_title_state_published_and_more"
    assert "note VARCHAR(9)" in str(await statements(MEMORY, path.stem, backwards=True, folder=folder))
    assert await rows(url, "SELECT title, stars FROM blog_post") == [("kept", 1)]
    await migrate_database(url, "0001", folder=folder)
    await migrate_database(url, "zero", folder=folder)
    await migrate_database(url, folder=folder)
    assert await writing.compare(url, folder=folder, metadata=other) is None


@pytest.mark.parametrize("kind", ["column", "table"])
async def test_a_rename_is_asked_about_and_keeps_the_rows(url: str, folder: Path, kind: str) -> None:
    await make(folder, tables())
    await migrate_database(url, folder=folder)
    await rows(url, POST, "INSERT INTO blog_comment (id, post_id) VALUES (1, 1)")
    renamed, asked = tables(title="heading"), "blog_post.title renamed to heading?"
    if kind == "table":
        renamed, asked = tables(), "blog_comment renamed to blog_reply?"
        renamed.remove(renamed.tables["blog_comment"])
        tables().tables["blog_comment"].to_metadata(renamed, name="blog_reply")
    with pytest.raises(MigrationError, match="nobody is here to answer: add --rename"):
        await make(folder, renamed, url)
    path = await make(folder, renamed, url, confirm=lambda question: question == f"Was {asked}")
    assert "_rename_" in path.name
    await migrate_database(url, folder=folder)
    assert await writing.compare(url, folder=folder, metadata=renamed) is None
    joined = "SELECT {}, post_id FROM blog_post JOIN {} ON post_id = blog_post.id"
    names = ("heading", "blog_comment") if kind == "column" else ("title", "blog_reply")
    assert await rows(url, joined.format(*names)) == [("kept", 1)]
    await migrate_database(url, "0001", folder=folder)
    assert await rows(url, joined.format("title", "blog_comment")) == [("kept", 1)]


async def test_no_rename_drops_and_creates(folder: Path) -> None:
    await make(folder, tables())
    defaults = {"blog_post.heading": "none"}
    path = await make(folder, tables(title="heading"), confirm=lambda _: False, defaults=defaults)
    assert path.name == "0002_blog_post_add_heading_remove_title.py"


async def test_a_new_required_column_needs_a_value_for_the_rows_that_exist(url: str, folder: Path) -> None:
    await make(folder, tables())
    await migrate_database(url, folder=folder)
    await rows(url, POST)
    grown = tables(
        sa.Column("likes", sa.Integer, nullable=False),
        sa.Column("hot", sa.Boolean, default=True, nullable=False),
        sa.Column("motto", AutoString(length=20), default="it's a::b :c", nullable=False),
    )
    with pytest.raises(MigrationError, match=r"blog_post.likes is NOT NULL .* --default blog_post.likes=VALUE"):
        await make(folder, grown, url)
    with pytest.raises(MigrationError, match="'many' is no int"):
        await make(folder, grown, url, prompt=lambda _: "many")
    await make(folder, grown, url, prompt=lambda _: "7")
    await migrate_database(url, folder=folder)
    assert await rows(url, "SELECT likes, hot, motto FROM blog_post") == [(7, True, "it's a::b :c")]
    with pytest.raises(sa.exc.IntegrityError):
        await rows(url, POST.replace("1, 'kept'", "2, 'other'"))


async def test_a_failing_revision_leaves_the_database_as_it_was(url: str, folder: Path) -> None:
    chain(folder, 2)
    await migrate_database(url, folder=folder)
    before = await schema(url)
    body = "op.create_table('one', sa.Column('a', sa.Integer)); op.add_column('log', sa.Column('b', sa.Integer))"
    revision(folder, "0003_bad", "0002_step", f"{body}; op.execute('DELETE FROM log'); op.execute('SELECT nothing')")
    said: list[str] = []
    with pytest.raises(MigrationError, match=r"^0003_bad failed and was rolled back: .*nothing"):
        await migrate_database(url, folder=folder, report=said.append)
    assert await schema(url) == before
    assert await rows(url, "SELECT count(*) FROM log") == [(1,)]
    revision(folder, "0003_bad", "0002_step", body)
    assert await migrate_database(url, folder=folder) == ["0003_bad"]


async def test_two_migrates_at_once_apply_each_revision_once(url: str, folder: Path) -> None:
    ids = chain(folder, 6)
    code = (
        "import asyncio, pathlib, sys; from project.core.db.migrations import migrate_database as migrate; "
        "print(*asyncio.run(migrate(sys.argv[1], folder=pathlib.Path(sys.argv[2]))))"
    )
    command = (sys.executable, "-c", code, url, str(folder))
    both = [
        await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=FOLDER.parent)
        for _ in range(2)
    ]
    said = [(await process.communicate())[0].decode().split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(said[0] + said[1]) == ids
    assert await rows(url, "SELECT at FROM log ORDER BY at") == [(number,) for number in range(2, 7)]


@pytest.mark.parametrize("lock", ["SELECT pg_advisory_lock(6043187220)", "LOCK TABLE log"], ids=["turn", "table"])
async def test_migrating_waits_for_whoever_holds_a_lock(
    url: str, folder: Path, lock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_SECONDS", 0.1)
    ids = chain(folder)
    await migrate_database(url, ids[0], folder=folder)
    async with connect(url) as other:
        await other.execute(sa.text("SELECT 1" if "sqlite" in url else lock))
        waiting = asyncio.create_task(migrate_database(url, folder=folder))
        assert not (await asyncio.wait([waiting], timeout=0.4))[0]
        await other.rollback()
    assert await waiting == ids[1:]


async def test_rebuilding_a_parent_keeps_its_children_and_orphans_are_refused(tmp_path: Path, folder: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'family.sqlite3'}"
    await make(folder, tables())
    await migrate_database(url, folder=folder)
    await rows(url, POST, "INSERT INTO blog_comment (id, post_id) VALUES (1, 1)")
    wider = tables()
    wider.tables["blog_post"].c.title.type = AutoString(length=80)
    path = await make(folder, wider)
    assert "batch_alter_table" in path.read_text()
    await migrate_database(url, folder=folder)
    assert await rows(url, "SELECT count(*) FROM blog_comment") == [(1,)]
    revision(folder, "0003_orphan", path.stem, "op.execute('DELETE FROM blog_post')")
    with pytest.raises(MigrationError, match="1 rows would be left without the row they belong to"):
        await migrate_database(url, folder=folder)
    assert await rows(url, "SELECT count(*) FROM blog_post") == [(1,)]


async def test_several_heads_are_named_and_merged(url: str, folder: Path) -> None:
    chain(folder, 2)
    revision(folder, "0002_other", "0001_step", "pass")
    with pytest.raises(MigrationError, match=r"several heads \(0002_other, 0002_step\).*--merge"):
        await migrate_database(url, folder=folder)
    assert writing.write(writing.Draft("merge"), folder=folder).name == "0003_merge.py"
    assert len(await migrate_database(url, folder=folder)) == 4
    assert await migrate_database(url, "0002_step", folder=folder) == ["0003_merge"]
    assert len(await migrate_database(url, "zero", folder=folder)) == 3


async def test_a_revision_without_a_file_is_named_and_health_stays_ready(url: str, folder: Path) -> None:
    ids = chain(folder)
    await migrate_database(url, ids[1], folder=folder)
    async with connect(url) as connection:
        assert await connection.run_sync(pending, folder) == ids[2:]
    await migrate_database(url, folder=folder)
    (folder / "versions" / f"{ids[3]}.py").unlink()
    async with connect(url) as connection:
        assert await connection.run_sync(pending, folder) == []
    with pytest.raises(MigrationError, match="is at revision 0004_step, which is not in"):
        await migrate_database(url, folder=folder)


async def test_fake_notes_and_sql_shows_without_running(url: str, folder: Path) -> None:
    ids = chain(folder, 3)
    assert "CREATE TABLE log" in str(await statements(url, "0001", folder=folder))
    assert "DROP TABLE log" in str(await statements(url, "0001", backwards=True, folder=folder))
    assert await migrate_database(url, folder=folder, fake=True) == ids
    assert await rows(url, "SELECT version_num FROM alembic_version") == [(ids[2],)]
    with pytest.raises(sa.exc.DBAPIError):
        await rows(url, "SELECT * FROM log")


async def test_a_native_enum_is_refused_with_the_way_out(folder: Path) -> None:
    with pytest.raises(MigrationError, match=r"blog_post.mood is a native enum.*sa.Enum\(State, native_enum=False"):
        await make(folder, tables(sa.Column("mood", sa.Enum(State))))


async def test_a_missing_database_is_answered_with_the_command(postgresql_url: str) -> None:
    url = make_url(postgresql_url).set(drivername="postgresql+asyncpg", database="uptempo_nowhere")
    with pytest.raises(MigrationError, match=r"no database 'uptempo_nowhere'.*createdb .*uptempo_nowhere$"):
        await migrate_database(url)


def test_health_pays_nothing_for_alembic() -> None:
    code = "import sys, project.core.db.migrations; assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent)


def test_the_commands_speak_as_django_does(tmp_path: Path, make_settings: MakeSettings) -> None:
    settings = make_settings(DATABASE_URL=f"sqlite:///{tmp_path / 'site.sqlite3'}")

    def run(line: str) -> Result:
        return CliRunner().invoke(manage, line.split(), obj=Site(lambda: settings))

    def code(line: str) -> int:
        return run(line).exit_code

    first = next(iter(read().revisions))
    assert code("migrate --check") == 1
    assert f" [ ] {first}" in run("showmigrations accounts").output
    assert f"Apply {first}" in run("migrate --plan").output
    assert f"Applying {first}... OK" in run("migrate --noinput").output
    assert "No migrations to apply." in run("migrate accounts").output
    assert f" [X] {first}" in run("showmigrations").output
    assert code("migrate --check") == 0
    assert "CREATE TABLE accounts_user" in run(f"sqlmigrate {first}").output
    for unchanged in ("makemigrations", "makemigrations accounts --check", "makemigrations --dry-run"):
        assert "No changes detected" in run(unchanged).output
        assert code(unchanged) == 0
    assert "No conflicts" in run("makemigrations --merge").output
    assert [code(f"migrate {wrong}") for wrong in ("accounts 0001", "acounts", "nope 0001")] == [2, 2, 2]
    assert f"Unapplying {first}" in run("migrate zero").output
