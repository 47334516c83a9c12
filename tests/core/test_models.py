"""What every table gets from its base."""

import time
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from project.core import Model
from project.core.db.models import app_label, uuid7


class State(StrEnum):
    """Two choices."""

    DRAFT = "draft"
    LIVE = "live"


class Page(Model, table=True):
    """A table that is taken out of the site's metadata at once."""

    __tablename__ = "throwaway_page"
    state: State = State.DRAFT
    former: State | None = None
    known: State = Field(default=State.LIVE, index=True, sa_column_kwargs={"server_default": "live", "comment": "c"})


SQLModel.metadata.remove(SQLModel.metadata.tables["throwaway_page"])


def test_ids_are_uuid_7_and_sort_by_time() -> None:
    first = uuid7()
    time.sleep(0.002)
    second = uuid7()
    assert isinstance(first, UUID)
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert first < second


def test_an_enum_is_text_with_a_check_and_stores_values() -> None:
    columns = sa.inspect(Page).columns
    for name, optional in [("state", False), ("former", True)]:
        kind = columns[name].type
        assert isinstance(kind, sa.Enum)
        assert (kind.native_enum, kind.enums, columns[name].nullable) == (False, ["draft", "live"], optional)
        assert kind.create_constraint
    known = columns["known"]
    assert isinstance(known.type, sa.Enum)
    assert (known.type.native_enum, known.index, known.comment) == (False, True, "c")
    assert known.server_default is not None


def test_tables_are_named_after_their_app() -> None:
    assert app_label("apps.blog.models") == "blog"
    assert app_label("apps.blog.models.post") == "blog"
    assert app_label("blog_app.models") == "blog_app"
