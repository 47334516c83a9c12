"""Fixtures: every row comes back as it was, in either database, in any order; or nothing is loaded."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlmodel import Field, SQLModel, select

from apps.accounts.models import User
from project.core import AppConfig, Invalid
from project.core.db.engine import Database
from project.core.db.fixtures.dumping import Style, dump, snapshot
from project.core.db.fixtures.kinds import Kind, all_kinds, chosen
from project.core.db.fixtures.loading import Loader
from project.core.db.fixtures.reading import rows
from project.core.testing.databases import PostgresDatabases, SQLiteFiles
from project.core.testing.plugin import MakeSettings

OWN = sa.MetaData()
Databases = SQLiteFiles | PostgresDatabases


class Mood(StrEnum):
    """Two choices."""

    GLAD = "glad one"
    SAD = "sad one"


class Piece(SQLModel, table=True):
    """A column of each kind."""

    metadata = OWN
    __tablename__ = "museum_piece"

    id: int | None = Field(default=None, primary_key=True)
    title: str = Field(max_length=20)
    price: Decimal = Field(max_digits=12, decimal_places=2)
    ratio: float
    big: int = Field(sa_type=sa.BigInteger)
    made_on: date
    seen_at: datetime
    opens: time
    took: timedelta
    tag: UUID
    mood: Mood = Mood.GLAD
    data: dict[str, Any] = Field(sa_type=sa.JSON)
    photo: bytes
    lent: bool
    note: str | None = None


class Node(SQLModel, table=True):
    """A tree."""

    metadata = OWN
    __tablename__ = "museum_node"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(unique=True, max_length=20)
    parent_id: UUID | None = Field(default=None, foreign_key="museum_node.id")


class Team(SQLModel, table=True):
    """A circle with its players."""

    metadata = OWN
    __tablename__ = "museum_team"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(unique=True)
    captain_id: UUID | None = Field(default=None, foreign_key="museum_player.id")


class Player(SQLModel, table=True):
    """Belongs to a team, and has no natural key."""

    metadata = OWN
    __tablename__ = "museum_player"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str
    team_id: UUID = Field(foreign_key="museum_team.id")


class Link(SQLModel, table=True):
    """A primary key of two columns that lead elsewhere."""

    metadata = OWN
    __tablename__ = "museum_link"

    team_id: UUID = Field(foreign_key="museum_team.id", primary_key=True)
    node_id: UUID = Field(foreign_key="museum_node.id", primary_key=True)


MUSEUM = AppConfig(label="museum", models=[Piece, Player, Link, Team, Node])
KINDS = all_kinds([MUSEUM])
NATURAL = Style(natural_foreign=True, natural_primary=True)


class Museum:
    """A database with these tables."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def dumped(self, style: Style = Style(), *labels: str, pks: Sequence[str] = ()) -> list[Any]:
        async with self.database.unit_of_work(write=False) as db:
            wanted: list[Kind] = chosen(KINDS, labels or ["museum"])
            found = dump(await snapshot(db), KINDS, wanted, style, pks)
            return [json.loads(style.encode(row)) async for row in found]

    async def load(self, told: Sequence[Any], *, ignore: bool = False) -> dict[str, int]:
        async with self.database.unit_of_work() as db:
            loader = Loader(await db.connection(), KINDS, ignore=ignore)
            numbered = ((f"museum.json, row {number}", row) for number, row in enumerate(told, 1))
            return await loader.load(numbered, lambda _: None)

    async def add(self, *added: SQLModel) -> None:
        for row in added:
            async with self.database.unit_of_work() as db:
                db.add(row)

    async def all(self, model: Any) -> Sequence[Any]:
        async with self.database.unit_of_work(write=False) as db:
            return (await db.exec(select(model).order_by(model.id))).all()


@asynccontextmanager
async def opened(make_settings: MakeSettings, url: str) -> AsyncIterator[Museum]:
    database = Database(make_settings(DATABASE_URL=url))
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(OWN.create_all)
        yield Museum(database)
    finally:
        await database.close()


@pytest.fixture
async def museum(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[Museum]:
    async with backend.copy() as url, opened(make_settings, url) as found:
        yield found


@pytest.fixture
async def other(backend: Databases, make_settings: MakeSettings) -> AsyncIterator[Museum]:
    async with backend.copy() as url, opened(make_settings, url) as found:
        yield found


def piece(**values: Any) -> Piece:
    usual: dict[str, Any] = {
        "title": "Käse “1”",
        "price": Decimal("1234567.10"),
        "ratio": 0.1 + 0.2,
        "big": 2**62 + 1,
        "made_on": date(1, 1, 1),
        "seen_at": datetime(2026, 2, 3, 4, 5, 6, 7, UTC),
        "opens": time(9, 30, 0, 1),
        "took": timedelta(days=3, microseconds=1),
        "tag": UUID(int=7),
        "mood": Mood.SAD,
        "data": {"a": [1, 2.5, None, "ü"], "b": {"c": True}},
        "photo": bytes(range(256)),
        "lent": True,
    }
    return Piece(**usual | values)


async def test_every_kind_of_column_comes_back_as_it_was_from_either_database(
    museum: Museum, other: Museum, make_settings: MakeSettings, tmp_path: Path
) -> None:
    await museum.add(piece(), piece(mood=Mood.GLAD, note="", lent=False, photo=b"", price=Decimal("-0.01"), data={}))
    first = await museum.dumped()
    async with opened(make_settings, f"sqlite:///{tmp_path}/between.sqlite3") as between:
        await between.load(first)
        assert await between.dumped() == first
        await other.load(await between.dumped())
    assert await other.dumped() == first
    assert [each.model_dump() for each in await other.all(Piece)] == [
        each.model_dump() for each in await museum.all(Piece)
    ]


async def test_numbers_go_on_after_those_that_were_loaded(museum: Museum) -> None:
    await museum.add(piece())
    await museum.load([row | {"pk": 41} for row in await museum.dumped()])
    await museum.add(piece())
    assert [each.id for each in await museum.all(Piece)] == [1, 41, 42]


async def grown(museum: Museum) -> None:
    """A tree whose child comes first by its id, and a team with its captain."""
    root, child = Node(id=UUID(int=2), name="root"), Node(id=UUID(int=1), name="child", parent_id=UUID(int=2))
    team, player = Team(id=UUID(int=3), name="reds"), Player(id=UUID(int=4), name="Ann", team_id=UUID(int=3))
    await museum.add(root, child, team, player, Link(team_id=team.id, node_id=child.id))
    async with museum.database.unit_of_work() as db:
        (await db.get_one(Team, team.id)).captain_id = player.id


@pytest.mark.parametrize("style", [Style(), Style(natural_foreign=True)], ids=["ids", "natural"])
async def test_trees_and_circles_come_back_whatever_the_order_of_the_rows(
    museum: Museum, other: Museum, style: Style
) -> None:
    await grown(museum)
    told = await museum.dumped(style)
    assert await other.load(told[::-1]) == {f"museum.{name}": n for name, n in COUNTS.items()}
    assert await other.dumped(style) == told


COUNTS = {"node": 2, "team": 1, "player": 1, "link": 1}


async def test_natural_keys_find_rows_that_have_other_ids(museum: Museum, other: Museum) -> None:
    await grown(museum)
    await other.add(root := Node(name="root"))
    told = await museum.dumped(NATURAL, "museum.node", "museum.team")
    told = [row for row in told if row["fields"]["name"] != "reds"]
    assert [row.get("pk") for row in told] == [None, None]
    assert {"model": "museum.node", "fields": {"name": "child", "parent_id": ["root"]}} in told
    for _ in range(2):
        await other.load(told)
    nodes = {each.name: each for each in await other.all(Node)}
    assert {name: each.parent_id for name, each in nodes.items()} == {"root": None, "child": root.id}
    assert nodes["root"].id == root.id


async def test_loading_again_changes_what_is_named_and_nothing_else(museum: Museum) -> None:
    await grown(museum)
    await museum.load([{"model": "Museum.Team", "pk": str(UUID(int=3)), "fields": {"name": "blues"}}])
    team = (await museum.all(Team))[0]
    assert (team.name, team.captain_id) == ("blues", UUID(int=4))


PLAYER = {"model": "museum.player", "pk": str(UUID(int=4)), "fields": {"name": "Bob", "team_id": str(UUID(int=3))}}
NODE = {"model": "museum.node", "fields": {"name": "new"}}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (PLAYER | {"pk": "x"}, "row 2 (museum.player.id): Input should be a valid UUID"),
        (PLAYER | {"model": "museum.playr"}, "row 2: there is no model 'museum.playr'. Did you mean 'museum.player'?"),
        (PLAYER | {"fields": {"nam": 1}}, "row 2 (museum.player.nam): there is no such field. Did you mean 'name'?"),
        (PLAYER | {"fields": {"name": "Bob"}}, "row 2 (museum.player.team_id): it has to be there."),
        (
            PLAYER | {"fields": {"name": "B", "team_id": ["x"]}},
            "row 2 (museum.player.team_id): there is no museum.team x.",
        ),
        (
            PLAYER | {"fields": {"name": "B", "team_id": str(UUID(int=9))}},
            "row 2 (museum.player): the database refuses it",
        ),
        (NODE | {"fields": {"name": "n" * 21}}, "row 2 (museum.node.name): String should have at most 20 characters."),
        (NODE | {"pk": str(UUID(int=9)), "fields": {"name": "root"}}, "row 2 (museum.node): the database refuses it"),
        ([1], 'row 2: a row is {"model": "app.model", "pk": …, "fields": {…}}.'),
    ],
    ids=["pk", "model", "field", "missing", "natural", "reference", "long", "twice", "shape"],
)
async def test_a_bad_row_is_named_and_nothing_is_loaded(museum: Museum, bad: Any, says: str) -> None:
    await grown(museum)
    before = await museum.dumped()
    with pytest.raises(Invalid) as refusal:
        await museum.load([NODE, bad])
    assert f"museum.json, {says}" in refusal.value.message
    assert await museum.dumped() == before


async def test_the_bad_one_among_many_is_named(museum: Museum) -> None:
    told = [NODE | {"fields": {"name": name}} for name in ("a", "b", "c", "b", "d")]
    with pytest.raises(Invalid, match=r"museum\.json, row 4 \(museum\.node\): the database refuses it"):
        await museum.load(told)


async def test_a_dump_is_of_one_moment(museum: Museum) -> None:
    await museum.add(Node(name="root"), Team(name="reds"))
    async with museum.database.unit_of_work(write=False) as db:
        found = dump(await snapshot(db), KINDS, chosen(KINDS, ["museum"]), Style())
        names = [(await anext(found))["fields"]["name"]]
        await asyncio.create_task(museum.add(Team(name="late"), Node(name="late")))
        names += [row["fields"]["name"] async for row in found]
    assert sorted(names) == ["reds", "root"]


async def test_what_is_no_more_can_be_passed_over(museum: Museum) -> None:
    gone = [{"model": "museum.gone", "pk": 1, "fields": {}}, NODE | {"fields": {"name": "new", "gone": 1}}]
    assert await museum.load(gone, ignore=True) == {"museum.node": 1}


async def test_only_the_rows_with_these_keys(museum: Museum) -> None:
    await grown(museum)
    told = await museum.dumped(Style(), "museum.node", pks=[str(UUID(int=2))])
    assert [row["fields"]["name"] for row in told] == ["root"]


class Counted(io.StringIO):
    """Counts what was read of it."""

    taken = 0

    def read(self, size: int | None = -1) -> str:
        text = super().read(size)
        self.taken += len(text)
        return text


def test_a_long_file_is_read_piece_by_piece() -> None:
    for before, between, after in ("[", ",", "]"), ("", "\n", ""):
        stream = Counted(before + between.join([json.dumps({"a": "x" * 1000})] * 1000) + after)
        found = rows(stream)
        next(found)
        assert stream.taken < 100_000
        assert sum(1 for _ in found) == 999


@pytest.mark.parametrize("text", ['[{"a": 1}, ', '[{"a": 1}', '[{"a": 1} {"a": 2}]', '[{"a": 1}] more', '{"a": ', "x"])
def test_what_is_cut_off_or_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        list(rows(io.StringIO(text)))


def test_the_sites_own_tables_have_names_an_order_and_natural_keys() -> None:
    from apps.accounts.app import config as accounts

    kinds = all_kinds([accounts])
    assert [*kinds].index("accounts.user") < [*kinds].index("accounts.session")
    assert kinds["accounts.user"].table is User.__table__  # type: ignore[attr-defined]
    assert kinds["accounts.user"].natural_key == ("email",)
    transient = {name for name, kind in kinds.items() if kind.transient}
    assert transient == {
        *("accounts.session", "accounts.refreshtoken", "accounts.apitoken"),
        *("core.job", "core.schedule", "core.effect", "core.lease"),
    }
