"""Bases for tables: time-ordered ids, timestamps, names that follow from the app and the class."""

import re
import secrets
import time
from datetime import UTC, datetime
from typing import Any, ClassVar, dataclass_transform
from uuid import UUID

import sqlalchemy as sa
from pydantic_core import PydanticUndefined
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel
from sqlmodel.main import SQLModelMetaclass, get_column_from_field

from project.core.errors import Stale

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = SQLModel.metadata
NAMES = ("name", "title", "label", "subject", "email")


def uuid7() -> UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random; it sorts by time of birth."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def app_label(module: str) -> str:
    """The app a models module belongs to: `apps.blog.models` → `blog`."""
    parts = module.split(".")
    return parts[parts.index("models") - 1] if "models" in parts[1:] else parts[-1]


def snake(name: str) -> str:
    """`BlogPost` → `blog_post`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def plural(name: str) -> str:
    """`entry` → `entries`."""
    name = re.sub("([^aeiou])y$", r"\1ie", name)
    return f"{name}es" if re.search("(s|x|z|ch|sh)$", name) else f"{name}s"


def words(row: Any) -> str:
    """What people call a row: its own `__str__`, else its name or title, else its kind and the end of its id.

    SQLModel's own would tell every column, hashes and tokens too.
    """
    kind = type(row)
    own: Any = kind.__str__
    if own not in (object.__str__, SQLModel.__str__, words):
        return str(own(row))
    for name in NAMES:
        if value := getattr(row, name, None):
            return str(value)
    key = sa.inspect(kind).primary_key_from_instance(row)
    return f"{kind.__name__} {';'.join(map(str, key))[-8:]}"


@dataclass_transform(kw_only_default=True, field_specifiers=(Field,))
class _PortableEnums(SQLModelMetaclass):
    """Keeps `state: State` as text with a CHECK: native enums exist on PostgreSQL only, and hardly migrate."""

    def __setattr__(cls, name: str, value: Any) -> None:  # noqa: N805
        if isinstance(value, sa.Column) and isinstance(value.type, sa.Enum) and value.type.native_enum:
            value = _as_text(cls.model_fields[name], value)
        super().__setattr__(name, value)


def _as_text(field: Any, column: sa.Column[Any]) -> sa.Column[Any]:
    """The column once more with a type both databases know; one that names its own type stays as it is."""
    kind = column.type.enum_class  # type: ignore[attr-defined]
    told = next((each for each in (*field.metadata, field) if hasattr(each, "sa_type")), None)
    if kind is None or (told is not None and told.sa_type is not PydanticUndefined):
        return column
    text = sa.Enum(
        kind,
        name=snake(kind.__name__),
        native_enum=False,
        create_constraint=True,
        values_callable=lambda members: [str(member.value) for member in members],
    )
    if told is None:
        return sa.Column(text, nullable=column.nullable)
    told.sa_type = text
    again: sa.Column[Any] = get_column_from_field(field)
    return again


class Model(SQLModel, metaclass=_PortableEnums):
    """The base of every table: a UUIDv7 `id`, and the table name `<app>_<class>`.

    `__transient__`: its rows mean nothing in another database, and dumpdata passes over them. `__natural_key__`: the
    columns by which fixtures name a row; the first unique constraint otherwise.
    """

    __transient__: ClassVar[bool] = False
    __natural_key__: ClassVar[tuple[str, ...]] = ()
    id: UUID = Field(default_factory=uuid7, primary_key=True)
    __str__ = words

    @declared_attr.directive
    def __tablename__(cls) -> str:  # noqa: N805
        name: str = cls.__name__
        return f"{app_label(cls.__module__)}_{snake(name)}"


class Timestamped(SQLModel):
    """Adds `created_at` and `updated_at`, aware, in UTC."""

    created_at: datetime = Field(default_factory=now)
    updated_at: datetime = Field(default_factory=now, sa_column_kwargs={"onupdate": now})


class Versioned(SQLModel):
    """Adds `version`, counted up when a changed row is saved, so that nobody overwrites what they have not seen.

    An `update(Post)` in SQL has to count up itself. A form carries the version as a hidden field
    (`version: RowVersion` in its schema); the service says `post.expect(data.version)` before it changes the row.
    Two changes at the same moment: the later one is refused by the database, with the same 412.
    """

    version: int = Field(default=1)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]

    def expect(self, version: int) -> None:
        """Raises Stale when the row is not the one that was shown."""
        if self.version != version:
            raise Stale()
